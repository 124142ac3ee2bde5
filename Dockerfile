# The tag is not pinned by its digest, which could not be looked up where this was written. To pin it, append the
# `@sha256:…` that `docker buildx imagetools inspect python:3.13-slim-bookworm` prints first.
ARG PYTHON=python:3.13-slim-bookworm

FROM ${PYTHON} AS packages
RUN python -m venv --without-pip /opt/venv
# Before the source, so that a change of ours installs nothing anew.
COPY requirements.txt .
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv install --disable-pip-version-check --require-hashes --no-deps --only-binary :all: \
    --requirement requirements.txt

FROM ${PYTHON}
# A user who owns one folder, for the keys and the collected symbols. Everything else stays root's.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin ltp \
    && install --directory --owner ltp --group ltp --mode 700 /var/lib/ltp_service
COPY --from=packages /opt/venv /opt/venv
WORKDIR /srv/ltp_service
COPY wsgi.py gunicorn.conf.py ./
COPY configs configs
COPY ltp_service ltp_service
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DATABASE_PATH=/var/lib/ltp_service/ltp.sqlite3
VOLUME /var/lib/ltp_service
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
# Alive is not ready: a dead exchange must not restart the container. Never through a proxy of the environment.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["python", "-c", "import os; from urllib.request import ProxyHandler, build_opener; build_opener(ProxyHandler({})).open(f\"http://127.0.0.1:{os.environ.get('PORT') or 8080}/health\", timeout=2)"]
# gunicorn finds gunicorn.conf.py in the working directory, and is process 1: TERM reaches it.
CMD ["gunicorn", "wsgi:app"]
