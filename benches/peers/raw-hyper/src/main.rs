//! The floor: what the three calls cost with as little as possible around them. hyper without a framework, no check of the
//! protocol, each answer written once, by hand, into one buffer, strings escaped with SIMD, one round trip to Redis, and files
//! read right where the request is served.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use json_escape_simd::escape_into;
use redis::{AsyncCommands as _, Expiry};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::TcpListener;
use workload::{CURSOR_TTL, Cursors, Handle, Options, PageOutput, ReadFileArgs, Record, begin, inside, version};

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    params: Params<'a>,
}

#[derive(Deserialize)]
struct Params<'a> {
    name: &'a str,
    #[serde(borrow)]
    arguments: &'a RawValue,
}

#[derive(Deserialize)]
struct Greet<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct ListDirectory<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
}

struct Server {
    root: PathBuf,
    cursors: Cursors,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let options = Options::from_args();
    let server = Arc::new(Server { cursors: Cursors(options.connect_redis().await), root: options.root });
    let listener = TcpListener::bind(options.listen).await?;
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let service = service_fn(|request| serve(&server, request));
            http1::Builder::new().serve_connection(TokioIo::new(socket), service).await
        });
    }
}

async fn serve(server: &Server, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = match request.into_body().collect().await {
        Ok(body) => match server.answer(&body.to_bytes()).await {
            Ok(answer) => Response::new(Full::new(Bytes::from(answer))),
            Err(_) => failed(StatusCode::INTERNAL_SERVER_ERROR),
        },
        Err(_) => failed(StatusCode::BAD_REQUEST),
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn failed(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

impl Server {
    async fn answer(&self, body: &[u8]) -> io::Result<Vec<u8>> {
        let Message { id, params } = serde_json::from_slice(body)?;
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
        out.extend_from_slice(id.get().as_bytes());
        out.extend_from_slice(br#","result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"raw-hyper","title":"Raw hyper","version":"0.0.0"}},"content":[{"type":"text","text":"#);
        match params.name {
            "greet" => greet(&mut out, serde_json::from_str(params.arguments.get())?),
            "read_file" => self.read_file(&mut out, serde_json::from_str(params.arguments.get())?).await?,
            "list_directory" => self.list_directory(&mut out, &serde_json::from_str(params.arguments.get())?)?,
            _ => return Err(io::Error::other("no such tool")),
        }
        out.extend_from_slice(br#","isError":false}}"#);
        Ok(out)
    }

    async fn read_file(&self, out: &mut Vec<u8>, args: ReadFileArgs) -> io::Result<()> {
        let Some(cursor) = &args.cursor else {
            let record = begin(&self.root, args)?;
            let id = self.cursors.create(&record).await?;
            return self.page(out, &id, record, 0);
        };
        let Handle { id, position } = Handle::parse(cursor)?;
        let found: Option<Vec<u8>> = self.cursors.0.clone().get_ex(id, Expiry::EX(CURSOR_TTL)).await.map_err(io::Error::other)?;
        let record = serde_json::from_slice(&found.ok_or_else(|| io::Error::other("no such cursor"))?)?;
        self.page(out, id, record, position)
    }

    fn page(&self, out: &mut Vec<u8>, id: &str, record: Record, position: u64) -> io::Result<()> {
        let file = File::open(inside(&self.root, &record.path)?)?;
        let metadata = file.metadata()?;
        if version(&metadata) != record.version {
            return Err(io::Error::other("the file has changed"));
        }
        let left = metadata.len().saturating_sub(position);
        let mut bytes = vec![0; record.bytes.min(usize::try_from(left).unwrap_or(usize::MAX))];
        file.read_exact_at(&mut bytes, position)?;
        let text = simdutf8::basic::from_utf8(&bytes).map_err(io::Error::other)?;
        let output = PageOutput::new(id, record, position, text.len(), metadata.len());

        escape_into(text, out);
        out.extend_from_slice(br#"},{"type":"text","text":"#);
        escape_into(output.summary(), out);
        out.extend_from_slice(br#"}],"structuredContent":"#);
        serde_json::to_writer(&mut *out, &output)?;
        Ok(())
    }

    fn list_directory(&self, out: &mut Vec<u8>, args: &ListDirectory) -> io::Result<()> {
        let folder = args.path.trim_end_matches('/');
        let mut entries = Vec::new();
        for entry in inside(&self.root, &args.path)?.read_dir()? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            entries.push((entry.file_name(), metadata));
        }
        entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));

        let mut lines = Vec::with_capacity(64 * entries.len());
        let mut list = Vec::with_capacity(128 * entries.len());
        for (name, metadata) in &entries {
            let name = simdutf8::basic::from_utf8(name.as_bytes()).map_err(io::Error::other)?;
            let modified = humantime::format_rfc3339_seconds(metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
            list.extend_from_slice(br#",{"path":"#);
            escape_into(format!("{folder}/{name}"), &mut list);
            if metadata.is_dir() {
                writeln!(lines, "{name}/\t{modified}")?;
                write!(list, r#","type":"folder","modified":"{modified}"}}"#)?;
            } else {
                writeln!(lines, "{name}\t{} bytes\t{modified}", metadata.len())?;
                write!(list, r#","type":"file","size":{},"modified":"{modified}"}}"#, metadata.len())?;
            }
        }
        lines.pop();
        escape_into(simdutf8::basic::from_utf8(&lines).map_err(io::Error::other)?, out);
        out.extend_from_slice(br#"}],"structuredContent":{"entries":["#);
        out.extend_from_slice(list.get(1..).unwrap_or_default());
        out.extend_from_slice(b"]}");
        Ok(())
    }
}

fn greet(out: &mut Vec<u8>, Greet { name }: Greet) {
    out.extend_from_slice(b"\"Hello, ");
    let start = out.len();
    escape_into(name, out);
    // The text is one string: the quotes around the name go.
    out.remove(start);
    out.pop();
    out.extend_from_slice(br#"!"}]"#);
}
