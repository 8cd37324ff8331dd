# One image for router, workers and console; the command says which. For x86-64, as requirements.lock is.
# No container engine has built it where it was written: see docs/decisions/0013-compose-unbuilt.md.

FROM python:3.11-slim AS build
WORKDIR /build
COPY requirements.lock ./
# The lock is in parts: the image gets the first two, the third has the build backend.
RUN sed '/^# part: build/,$d' requirements.lock > production.lock \
    && sed '/^# part: sandbox/,$d' requirements.lock > build.lock \
    && python -m venv /opt/novix \
    && /opt/novix/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r production.lock \
    && python -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r build.lock
COPY . .
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/novix/bin/pip install --no-cache-dir --no-deps /wheels/novix-*.whl

FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home --home-dir /home/novix novix \
    && mkdir -p /var/lib/novix /var/lib/novix-blobs && chown novix /var/lib/novix /var/lib/novix-blobs
COPY --from=build /opt/novix /opt/novix
ENV PATH=/opt/novix/bin:$PATH PYTHONUNBUFFERED=1 NOVIX_HOME=/var/lib/novix NOVIX_HEALTH_PORT=8080
USER novix
WORKDIR /home/novix
VOLUME /var/lib/novix
# Workers finish or park what is in flight on SIGTERM: give them NOVIX_DRAIN_S (70 s) before they are killed.
STOPSIGNAL SIGTERM
ENTRYPOINT ["novix"]
CMD ["--help"]
