# docker build --tag pressmark .
# docker run --publish 8080:8080 --volume "$PWD/docs:/data:ro" pressmark /data --read-only --dev-token a-secret-of-your-own

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build

# The dependencies make a layer of their own, built again only when Cargo.toml or Cargo.lock change. The empty program
# in place of ours is older than any source, so that what comes next is built for certain.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && touch -d @0 src/main.rs src/lib.rs \
    && cargo build --release --locked \
    && rm -r src

COPY src src
RUN touch src/main.rs src/lib.rs && cargo build --release --locked

# glibc, the system's certificate authorities, a user without rights, and nothing else: not even a shell.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="Pressmark" \
      org.opencontainers.image.description="A stateless MCP server that gives agents files, search and storage" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /build/target/release/pressmark /usr/local/bin/pressmark

# Inside a container loopback reaches nobody. On any other address Pressmark asks for authentication before it starts.
ENV PRESSMARK_LISTEN=0.0.0.0:8080
EXPOSE 8080
WORKDIR /data
ENTRYPOINT ["/usr/local/bin/pressmark", "serve"]
CMD ["/data"]
