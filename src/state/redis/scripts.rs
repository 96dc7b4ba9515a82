//! What Redis does as one atomic step.
//!
//! Scripts are sent whole each time: they are short, Redis keeps them compiled, and a server that has not seen one yet
//! (after a restart or failover, or another node of a cluster) costs no second round trip.

use std::time::Duration;

use bytes::Bytes;
use redis::Cmd;

use super::milliseconds;
use crate::state::keys::{log_topic, member_key, together};
use crate::state::{EventId, GroupLimits, LogLimits, Once};

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

/// Notes a use of a member.
const USE: &str = "
    local group = KEYS[1]
    local function use(member, ttl)
        local last = redis.call('ZRANGE', group, -1, -1, 'WITHSCORES')[2] or 0
        redis.call('ZADD', group, last + 1, member)
        if redis.call('PTTL', group) < ttl then redis.call('PEXPIRE', group, ttl) end
    end";

/// A group is a sorted set of its members, each with the number of its last use, beside a number that says how many bytes
/// they have, or more: it does not see them expire. A member is a record, and the stream that is its log, with the size of
/// that and what was appended once.
const GROUP: &str = "
    local function weigh(member)
        return redis.call('STRLEN', group .. ':' .. member) + (redis.call('GET', group .. '/size:' .. member) or 0)
            + 50 * redis.call('XLEN', group .. '/log:' .. member) + 100 * redis.call('HLEN', group .. '/once:' .. member)
    end
    local function forget(member)
        redis.call('ZREM', group, member)
        redis.call('DEL', group .. ':' .. member, group .. '/log:' .. member, group .. '/size:' .. member,
            group .. '/once:' .. member)
    end
    local function add(bytes)
        local held = redis.call('GET', group .. '/bytes')
        local left = redis.call('PTTL', group)
        if held and left > 0 then redis.call('SET', group .. '/bytes', math.max(held + bytes, 0), 'PX', left) end
    end
    local function keep_within(max_members, max_bytes, bytes_after_cut)
        local held = redis.call('GET', group .. '/bytes')
        if held and tonumber(held) <= max_bytes and redis.call('ZCARD', group) <= max_members then return end
        local bytes, members, sizes = 0, {}, {}
        for _, member in ipairs(redis.call('ZRANGE', group, 0, -1)) do
            if redis.call('EXISTS', group .. ':' .. member) == 0 then
                forget(member)
            else
                sizes[member] = weigh(member)
                bytes = bytes + sizes[member]
                table.insert(members, member)
            end
        end
        local most = bytes > max_bytes and bytes_after_cut or max_bytes
        for at, member in ipairs(members) do
            if at == #members or (#members - at < max_members and bytes <= most) then break end
            bytes = bytes - sizes[member]
            forget(member)
        end
        redis.call('SET', group .. '/bytes', bytes, 'PX', math.max(redis.call('PTTL', group), 1))
    end";

pub(super) fn put_in_group(group: &str, member: &str, value: &[u8], ttl: Duration, limits: GroupLimits) -> Cmd {
    const SCRIPT: &str = "
        local member, ttl = ARGV[1], tonumber(ARGV[2])
        add(-weigh(member))
        forget(member)
        redis.call('SET', KEYS[2], ARGV[3], 'PX', ttl)
        use(member, ttl)
        add(#ARGV[3])
        keep_within(tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]))";
    let command = group_script(SCRIPT, group, member).arg(milliseconds(ttl)).arg(value).take();
    with_limits(command, limits)
}

/// 1 when the member's record now is the value.
pub(super) fn replace_in_group(
    group: &str,
    member: &str,
    expected: Option<&[u8]>,
    value: &[u8],
    ttl: Duration,
    limits: GroupLimits,
) -> Cmd {
    const SCRIPT: &str = "
        local member, ttl, value, expected = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[7]
        local held = redis.call('GET', KEYS[2])
        if held ~= value and (held or nil) ~= expected then return 0 end
        redis.call('SET', KEYS[2], value, 'PX', ttl)
        use(member, ttl)
        add(#value - #(held or ''))
        keep_within(tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]))
        return 1";
    let command = group_script(SCRIPT, group, member).arg(milliseconds(ttl)).arg(value).take();
    let mut command = with_limits(command, limits);
    if let Some(expected) = expected {
        command.arg(expected);
    }
    command
}

/// The member's record, or nil.
pub(super) fn get_in_group(group: &str, member: &str, ttl: Duration) -> Cmd {
    const SCRIPT: &str = "
        local member, ttl = ARGV[1], tonumber(ARGV[2])
        local value = redis.call('GETEX', KEYS[2], 'PX', ttl)
        if not value then
            redis.call('ZREM', group, member)
            return false
        end
        use(member, ttl)
        return value";
    let keys = [together(group), member_key(group, member)];
    script(&format!("{USE}{SCRIPT}"), &[&keys[0], &keys[1]]).arg(member).arg(milliseconds(ttl)).take()
}

/// 1 when the member had a record.
pub(super) fn delete_in_group(group: &str, member: &str) -> Cmd {
    const SCRIPT: &str = "
        local held = redis.call('EXISTS', KEYS[2])
        add(-weigh(ARGV[1]))
        forget(ARGV[1])
        return held";
    group_script(SCRIPT, group, member)
}

pub(super) fn delete_all_in_group(group: &str, beginning: &str) -> Cmd {
    const SCRIPT: &str = "
        for _, member in ipairs(redis.call('ZRANGE', group, 0, -1)) do
            if string.sub(member, 1, #ARGV[1]) == ARGV[1] then
                add(-weigh(member))
                forget(member)
            end
        end";
    group_script(SCRIPT, group, beginning)
}

/// The id of the event, or nil when the log has had it or has no member. The command carries a number of its own, by which
/// Redis knows it again when it is repeated, and answers as it did the first time.
pub(super) fn append(group: &str, member: &str, event: &[u8], once: Option<Once<'_>>, limits: LogLimits) -> Cmd {
    // It publishes first: who is told cannot look before the script is done, and where publishing is forbidden nothing is
    // written.
    const SCRIPT: &str = "
        local member, ttl, event, topic = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[7]
        local max_events, max_bytes, name, field, value = tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[11], ARGV[13], ARGV[14]
        local log, size, once = group .. '/log:' .. member, group .. '/size:' .. member, group .. '/once:' .. member
        local done = group .. '/done:' .. ARGV[12]
        local id = redis.call('GET', done)
        if id then return id end
        if redis.call('EXISTS', KEYS[2]) == 0 then return false end
        if field and redis.call('HGET', once, field) == value then
            redis.call('PEXPIRE', once, ttl)
            return false
        end
        redis.call('PUBLISH', topic, '')
        local before = weigh(member)
        id = redis.call('XADD', log, '*', name, event)
        local events, bytes = redis.call('XLEN', log), #event + (redis.call('GET', size) or 0)
        while events > max_events or (bytes > max_bytes and events > 1) do
            local oldest = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
            redis.call('XDEL', log, oldest[1])
            events, bytes = events - 1, bytes - #oldest[2][2]
        end
        redis.call('PEXPIRE', log, ttl)
        redis.call('SET', size, bytes, 'PX', ttl)
        if field then
            if redis.call('HLEN', once) >= max_events and redis.call('HEXISTS', once, field) == 0 then redis.call('DEL', once) end
            redis.call('HSET', once, field, value)
            redis.call('PEXPIRE', once, ttl)
        end
        redis.call('SET', done, id, 'PX', ARGV[10])
        use(member, ttl)
        add(weigh(member) - before)
        keep_within(tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]))
        return id";
    let command = group_script(SCRIPT, group, member).arg(milliseconds(limits.ttl)).arg(event).take();
    let mut command = with_limits(command, limits.group);
    command
        .arg(log_topic(group, member))
        .arg(count(limits.max_events))
        .arg(count(limits.max_bytes))
        .arg(milliseconds(REPEAT_LIMIT))
        .arg(EVENT)
        .arg(format!("{:032x}", rand::random::<u128>()));
    if let Some(once) = once {
        command.arg(once.field).arg(once.value);
    }
    command
}

/// Entries of the stream: ids with names and values in turn, see [`event`].
pub(super) fn read_log(group: &str, member: &str, after: Option<EventId>, max: usize) -> Cmd {
    let start = after.map_or_else(|| "-".to_owned(), |id| format!("({id}"));
    redis::cmd("XRANGE").arg(log_topic(group, member)).arg(start).arg("+").arg("COUNT").arg(count(max)).take()
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

/// A script on one member of a group, or on those whose names begin alike.
fn group_script(text: &str, group: &str, member: &str) -> Cmd {
    script(&format!("{USE}{GROUP}{text}"), &[&together(group), &member_key(group, member)]).arg(member).take()
}

fn with_limits(mut command: Cmd, limits: GroupLimits) -> Cmd {
    command.arg(count(limits.members)).arg(count(limits.bytes)).arg(count(limits.bytes_after_cut())).take()
}

fn script(text: &str, keys: &[&str]) -> Cmd {
    redis::cmd("EVAL").arg(text).arg(keys.len()).arg(keys).take()
}
