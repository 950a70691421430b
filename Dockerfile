FROM python:3.12-slim
WORKDIR /usr/src/autokd
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY autokd autokd
COPY search_spaces search_spaces
COPY service service
COPY studies studies
RUN pip install --no-cache-dir --constraint requirements.lock ".[postgres]" \
 && useradd --create-home autokd && mkdir -p /srv/autokd /srv/data && chown autokd /srv/autokd /srv/data
USER autokd
WORKDIR /srv/autokd
EXPOSE 8000
CMD ["autokd", "up"]
