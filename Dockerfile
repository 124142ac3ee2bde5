# The digest was taken from public repositories that agree on it, for no registry could be asked where this was
# written. `docker buildx imagetools inspect` prints it first; renew it together with the tag.
ARG PYTHON=python:3.13.14-slim-bookworm@sha256:9d7f287598e1a5a978c015ee176d8216435aaf335ed69ac3c38dd1bbb10e8d64

FROM ${PYTHON} AS packages
WORKDIR /build
RUN python -m venv --without-pip /opt/venv
# Before the source, so that a change of ours installs nothing anew. With the extra `postgres`: where the history is kept
# is a setting, so every image can keep it in PostgreSQL.
COPY requirements.postgres.txt .
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv install --disable-pip-version-check --require-hashes --no-deps --only-binary :all: \
    --requirement requirements.postgres.txt

FROM ${PYTHON}
# What the user owns: a folder for the keys, the collected symbols and the history, and one for a socket that nginx shares.
# Everything else stays root's.
RUN install --directory --owner 10001 --group 10001 --mode 700 /var/lib/ltp_service \
    && install --directory --owner 10001 --group 10001 --mode 755 /run/ltp-service
COPY --from=packages /opt/venv /opt/venv
WORKDIR /srv/ltp_service
COPY wsgi.py gunicorn.conf.py ./
COPY configs configs
COPY ltp_service ltp_service
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 \
    DATABASE_PATH=/var/lib/ltp_service/ltp.sqlite3 HISTORY_URL=sqlite:/var/lib/ltp_service/history.sqlite3
# The user may not write here, so each start would compile every module again. The first command compiles the project's
# modules, the second one those of Python itself that a start needs: the base image has none of them compiled.
RUN python -m compileall -q . && python -m ltp_service serve -- --check-config
VOLUME /var/lib/ltp_service /run/ltp-service
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
# Alive is not ready: a dead exchange must not restart the container. Follows HOST and PORT, a unix socket too.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["python", "-P", "ltp_service/cli/health_check.py"]
# `ltp serve` becomes gunicorn, which is then process 1: TERM reaches it.
CMD ["python", "-m", "ltp_service", "serve"]
