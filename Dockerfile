# syntax=docker/dockerfile:1
# production: the API and the workers. ops: the same with PostgreSQL's client programs.
# pgbouncer: the pooler in front of PostgreSQL. All run as users without rights, and write nowhere but
# to /tmp and volumes.
ARG PYTHON_IMAGE=python:3.13-slim
ARG DEBIAN_IMAGE=debian:trixie-slim

FROM ${PYTHON_IMAGE} AS packages
RUN python -m venv /venv
COPY requirements/production.txt requirements/embedded.txt /requirements/
RUN /venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r /requirements/production.txt

FROM packages AS ops-packages
RUN /venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r /requirements/embedded.txt

FROM ${PYTHON_IMAGE} AS production
RUN useradd --system --uid 10001 --no-create-home tracker \
    && install --directory --owner tracker --mode 700 /backups
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY --from=packages /venv /venv
COPY migrations migrations
COPY shared shared
COPY api api
COPY worker worker
COPY ops ops
RUN python -m compileall -q shared api worker ops
USER 10001
EXPOSE 8000
# Requests under way, or the event in hand, are finished first: see stop_grace_period.
STOPSIGNAL SIGTERM
CMD ["python", "-m", "api"]

FROM production AS ops
# Encrypts backups where BACKUP_RECIPIENT is a key of its.
USER 0
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends age \
    && rm -rf /var/lib/apt/lists/*
USER 10001
COPY --from=ops-packages /venv /venv

FROM ${DEBIAN_IMAGE} AS pgbouncer
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends pgbouncer postgresql-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10002 --no-create-home pooler
ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin
USER 10002
EXPOSE 6432
# It lets transactions end, and only then goes.
STOPSIGNAL SIGINT
CMD ["pgbouncer", "/etc/pgbouncer/pgbouncer.ini"]
