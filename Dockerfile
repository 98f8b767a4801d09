# One image for the controller and the tunnels: the bundles of `npm run build` on a Node without a shell.
#
#   docker build .                                              compiles inside; needs a network
#   docker build --target prebuilt --build-arg BASE_IMAGE=… .   takes dist/ as `npm run build` left it here; needs none
#
# npm run build:image does either with the builder that this machine has, for its architecture. npm run release makes the image of a release,
# for both, on a base that is named by its digest; it reads the stage runtime below.
ARG BASE_IMAGE=gcr.io/distroless/nodejs24-debian13:nonroot
# The release that the tests run on, with its headers and a C++ compiler for ssh2's native crypto.
ARG BUILD_IMAGE=docker.io/library/node:24.21.0-trixie

# The Go that builds the helper of the fly driver, for the architecture of the image.
ARG GO_IMAGE=docker.io/library/golang:1.26.6-trixie

FROM ${BASE_IMAGE} AS runtime
LABEL org.opencontainers.image.title="portforward" \
      org.opencontainers.image.description="Kubernetes operator: tunnels to private databases, each behind a Service" \
      org.opencontainers.image.licenses="Apache-2.0"
# Distroless has Node in /nodejs/bin, the official image in /usr/local/bin.
# One heap of malloc: every thread of Node would else keep one of its own, with gaps that no other thread fills.
ENV NODE_ENV=production \
    MALLOC_ARENA_MAX=1 \
    PATH=/nodejs/bin:/usr/local/bin:/usr/bin:/bin
WORKDIR /app
# A number, so that the kubelet can check runAsNonRoot; nothing is ever written outside /tmp.
USER 65532:65532
# Process 1 keeps signals for Node until it can hear them. Young garbage is collected at 4 MiB, not at 16: a tunnel whose thousand clients all stop reading stays within its memory limit.
ENTRYPOINT ["/app/portforward-init", "node", "--max-semi-space-size=4", "/app/portforward.cjs"]

FROM runtime AS prebuilt
COPY dist/ /app/
RUN ["node", "/app/portforward.cjs", "version", "--check-crypto", "--check-data-path"]

FROM ${GO_IMAGE} AS fly-helper
ARG TARGETARCH
WORKDIR /source
COPY src/sidecar/drivers/fly/helper/ ./
ENV CGO_ENABLED=0 GOFLAGS="-buildvcs=false -mod=readonly"
RUN GOARCH=${TARGETARCH} go build -trimpath -ldflags="-s -w -buildid=" -o /portforward-fly-helper .

FROM ${BUILD_IMAGE} AS compiled
WORKDIR /source
COPY package.json package-lock.json ./
COPY scripts/ scripts/
COPY lab/ lab/
COPY native/ native/
COPY src/ src/
RUN ["node", "scripts/run.mjs", "scripts/build.ts", "--without-fly"]
# 8 MB that nothing reads at run time; a release has them beside the image.
RUN find dist -name '*.map' -delete

FROM runtime
COPY --from=compiled /source/dist/ /app/
COPY --from=fly-helper /portforward-fly-helper /app/
# A missing or mismatched native binding makes ssh slow without a word; here it fails the build.
RUN ["node", "/app/portforward.cjs", "version", "--check-crypto", "--check-data-path"]
