# The server alone; its MongoDB is another container (docker-compose.yml).
FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/fhirserver
COPY requirements-server.lock ./
RUN /opt/fhirserver/bin/pip install --no-cache-dir --require-hashes -r requirements-server.lock
COPY pyproject.toml README.md LICENSE ./
COPY profiles ./profiles
COPY capability ./capability
COPY seed ./seed
COPY fhirserver ./fhirserver
RUN /opt/fhirserver/bin/pip install --no-cache-dir --no-deps .

FROM python:3.12-slim
RUN useradd --system --uid 10001 --user-group --no-create-home fhirserver
COPY --from=build /opt/fhirserver /opt/fhirserver
USER 10001:10001
WORKDIR /tmp
ENV FHIRSERVER_BASE_URL=http://localhost:8000/fhir \
    PATH=/opt/fhirserver/bin:$PATH \
    PYTHONUNBUFFERED=1
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/ready', timeout=4)"]
ENTRYPOINT ["fhirserver"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
