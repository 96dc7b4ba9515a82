//! What Redis does as one atomic step.
//!
//! Scripts are sent whole each time: they are short, Redis keeps them compiled, and a server that has not seen one yet
//! (after a restart or failover, or another node of a cluster) costs no second round trip.

use std::time::Duration;

use bytes::Bytes;
use redis::Cmd;

use super::milliseconds;
use crate::state::keys::{member_key, together};
use crate::state::{EventId, LogLimits, Once};

/// For so long Redis remembers that an append was done: no operation is repeated later than this.
const REPEAT_LIMIT: Duration = Duration::from_secs(10);
/// What an event is called in its entry of the stream.
const EVENT: &str = "event";

/// 1 when the key now holds the value.
pub(super) fn put_if_absent(key: &str, value: &[u8], ttl: Duration) -> Cmd {
    const SCRIPT: &str = "
        local held = redis.call('GET', KEYS[1])
        if held and held ~= ARGV[1] then return 0 end
        redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
        return 1";
    script(SCRIPT, &[key]).arg(value).arg(milliseconds(ttl)).take()
}

/// 1 when the key now holds the value.
pub(super) fn replace(key: &str, expected: &[u8], value: &[u8], ttl: Duration) -> Cmd {
    const SCRIPT: &str = "
        local held = redis.call('GET', KEYS[1])
        if held ~= ARGV[1] and held ~= ARGV[2] then return 0 end
        redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
        return 1";
    script(SCRIPT, &[key]).arg(expected).arg(value).arg(milliseconds(ttl)).take()
}

/// 1 when the key held what was expected, and is gone.
pub(super) fn delete_if(key: &str, expected: &[u8]) -> Cmd {
    const SCRIPT: &str = "
        if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
        return redis.call('DEL', KEYS[1])";
    script(SCRIPT, &[key]).arg(expected).take()
}

/// A group is a sorted set of its members, each with the number of its last use, beside one record for each member.
pub(super) fn put_in_group(group: &str, member: &str, value: &[u8], ttl: Duration, limit: usize) -> Cmd {
    const SCRIPT: &str = "
        local group, member, ttl, limit = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[4])
        redis.call('SET', KEYS[2], ARGV[3], 'PX', ttl)
        local last = redis.call('ZRANGE', group, -1, -1, 'WITHSCORES')[2] or 0
        redis.call('ZADD', group, last + 1, member)
        if redis.call('PTTL', group) < ttl then redis.call('PEXPIRE', group, ttl) end
        if redis.call('ZCARD', group) <= limit then return end
        for _, other in ipairs(redis.call('ZRANGE', group, 0, -1)) do
            if redis.call('EXISTS', group .. ':' .. other) == 0 then redis.call('ZREM', group, other) end
        end
        for _, other in ipairs(redis.call('ZRANGE', group, 0, -1 - limit)) do
            redis.call('ZREM', group, other)
            redis.call('DEL', group .. ':' .. other)
        end";
    let (group, record) = (together(group), member_key(group, member));
    script(SCRIPT, &[&group, &record]).arg(member).arg(milliseconds(ttl)).arg(value).arg(count(limit)).take()
}

/// The member's record, or nil.
pub(super) fn get_in_group(group: &str, member: &str, ttl: Duration) -> Cmd {
    const SCRIPT: &str = "
        local group, member, ttl = KEYS[1], ARGV[1], tonumber(ARGV[2])
        local value = redis.call('GETEX', KEYS[2], 'PX', ttl)
        if not value then
            redis.call('ZREM', group, member)
            return false
        end
        local last = redis.call('ZRANGE', group, -1, -1, 'WITHSCORES')[2] or 0
        redis.call('ZADD', group, last + 1, member)
        if redis.call('PTTL', group) < ttl then redis.call('PEXPIRE', group, ttl) end
        return value";
    let (group, record) = (together(group), member_key(group, member));
    script(SCRIPT, &[&group, &record]).arg(member).arg(milliseconds(ttl)).take()
}

/// 1 when the member had a record.
pub(super) fn delete_in_group(group: &str, member: &str) -> Cmd {
    const SCRIPT: &str = "
        redis.call('ZREM', KEYS[1], ARGV[1])
        return redis.call('DEL', KEYS[2])";
    let (group, record) = (together(group), member_key(group, member));
    script(SCRIPT, &[&group, &record]).arg(member).take()
}

/// The id of the event, or nil when the log has had it. The command carries a number of its own, by which Redis knows it
/// again when it is repeated, and answers as it did the first time.
pub(super) fn append(log: &str, event: &[u8], once: Option<Once<'_>>, limits: LogLimits) -> Cmd {
    // It publishes first: who is told cannot look before the script is done, and where publishing is forbidden nothing is
    // written.
    const SCRIPT: &str = "
        local log, done, once = KEYS[1], KEYS[2], KEYS[3]
        local topic, event, max, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
        local id = redis.call('GET', done)
        if id then return id end
        if once and redis.call('GET', once) == ARGV[7] then
            redis.call('PEXPIRE', once, ttl)
            return false
        end
        redis.call('PUBLISH', topic, '')
        id = redis.call('XADD', log, 'MAXLEN', max, '*', ARGV[6], event)
        redis.call('PEXPIRE', log, ttl)
        redis.call('SET', done, id, 'PX', ARGV[5])
        if once then redis.call('SET', once, ARGV[7], 'PX', ttl) end
        return id";
    let key = together(log);
    let done = format!("{key}:done:{:032x}", rand::random::<u128>());
    let remembered = once.map(|once| format!("{key}:once:{}", once.field));
    let keys: Vec<&str> = [Some(key.as_str()), Some(&done), remembered.as_deref()].into_iter().flatten().collect();
    let mut command = script(SCRIPT, &keys);
    command
        .arg(log)
        .arg(event)
        .arg(count(limits.max_events))
        .arg(milliseconds(limits.ttl))
        .arg(milliseconds(REPEAT_LIMIT))
        .arg(EVENT);
    if let Some(once) = once {
        command.arg(once.value);
    }
    command
}

/// Entries of the stream: ids with names and values in turn, see [`event`].
pub(super) fn read_log(log: &str, after: Option<EventId>, max: usize) -> Cmd {
    let start = after.map_or_else(|| "-".to_owned(), |id| format!("({id}"));
    redis::cmd("XRANGE").arg(together(log)).arg(start).arg("+").arg("COUNT").arg(count(max)).take()
}

/// The event in an entry of [`read_log`]'s answer.
pub(super) fn event((id, fields): (String, Vec<Bytes>)) -> Option<(EventId, Bytes)> {
    let [name, event] = <[Bytes; 2]>::try_from(fields).ok()?;
    (name == EVENT).then_some((id.parse().ok()?, event))
}

/// Redis counts with a sign.
fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn script(text: &str, keys: &[&str]) -> Cmd {
    redis::cmd("EVAL").arg(text).arg(keys.len()).arg(keys).take()
}
