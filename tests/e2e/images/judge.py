"""The judge without a model, for the whole cluster: chat completions on port 8080."""

from aiohttp import web

from sluicegate_cli.offline_judge import MAX_REQUEST_BYTES, complete

if __name__ == "__main__":
    app = web.Application(client_max_size=MAX_REQUEST_BYTES)
    app.router.add_post("/v1/chat/completions", complete)
    web.run_app(app, port=8080, access_log=None)
