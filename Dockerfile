# docker build --tag pressmark .
# docker run --publish 8080:8080 --volume "$PWD/docs:/data:ro" pressmark /data --read-only --dev-token a-secret-of-your-own

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
# glibc goes into the binary: the image needs nothing else. aws-lc and blake3 need a C compiler, which this image has.
ENV RUSTFLAGS="-C target-feature=+crt-static"
ARG TARGET=x86_64-unknown-linux-gnu

# The dependencies make a layer of their own, built again only when Cargo.toml or Cargo.lock change. The empty program
# in place of ours is older than any source, so that what comes next is built for certain.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && touch -d @0 src/main.rs src/lib.rs \
    && cargo build --release --locked --target "$TARGET" \
    && rm -r src

COPY src src
RUN touch src/main.rs src/lib.rs \
    && cargo build --release --locked --target "$TARGET" \
    && mkdir -p /image/data /image/etc/ssl/certs /image/usr/local/bin \
    && mv "target/$TARGET/release/pressmark" /image/usr/local/bin/ \
    && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
    && chown 65532:65532 /image/data

# The program and the certificate authorities, and nothing else: no shell, no libraries, no users but a number.
FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Pressmark" \
      org.opencontainers.image.description="A stateless MCP server that gives agents files, search and storage" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image/ /

# Inside a container loopback reaches nobody. On any other address Pressmark asks for authentication before it starts.
ENV PRESSMARK_LISTEN=0.0.0.0:8080 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
EXPOSE 8080
USER 65532:65532
WORKDIR /data
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["/usr/local/bin/pressmark", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/pressmark", "serve"]
CMD ["/data"]
