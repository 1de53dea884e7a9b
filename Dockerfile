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
LABEL org.opencontainers.image.title="buildhook" \
      org.opencontainers.image.description="One GitHub App in front of whatever runs your builds." \
      org.opencontainers.image.licenses="Apache-2.0"
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends bubblewrap git iproute2 slirp4netns \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --no-log-init --create-home --home-dir /var/lib/buildhook buildhook
COPY --from=build /opt/buildhook /opt/buildhook
ENV PATH=/opt/buildhook/bin:$PATH \
    BUILDHOOK_DATA_DIR=/var/lib/buildhook/data \
    BUILDHOOK_HOST=0.0.0.0 \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /var/lib/buildhook
VOLUME /var/lib/buildhook/data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/readyz', timeout=4)"]
ENTRYPOINT ["buildhook"]
CMD ["serve"]
