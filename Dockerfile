FROM python:3.13-slim-trixie AS build
WORKDIR /src
RUN python -m venv /opt/buildhook
COPY requirements.lock ./
RUN /opt/buildhook/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY bot ./bot
# The build back end is not needed at run time, so it stays in this stage's own environment.
RUN pip install --no-cache-dir "hatchling>=1.27,<2" \
 && pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/buildhook/bin/pip install --no-cache-dir --no-deps /wheels/*.whl

FROM python:3.13-slim-trixie
# The data folder is made here because a new volume takes its owner from the image.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends bubblewrap git iproute2 slirp4netns \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 buildhook \
 && useradd --uid 10001 --gid 10001 --no-log-init --create-home --home-dir /var/lib/buildhook buildhook \
 && install --directory --mode=700 --owner=10001 --group=10001 /var/lib/buildhook/data
COPY --from=build /opt/buildhook /opt/buildhook
ENV PATH=/opt/buildhook/bin:$PATH \
    BUILDHOOK_DATA_DIR=/var/lib/buildhook/data \
    BUILDHOOK_HOST=0.0.0.0 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/buildhook
VOLUME /var/lib/buildhook/data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/readyz', timeout=4)"]
# At the end, so that a new commit keeps the layers above.
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="buildhook" \
      org.opencontainers.image.description="One GitHub App in front of whatever runs your builds." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED" \
      org.opencontainers.image.source="$SOURCE"
ENTRYPOINT ["buildhook"]
CMD ["serve"]
