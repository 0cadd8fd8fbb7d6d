"""Counts visits in the database: GET /visits answers {"visits": 3, "from": "name of this container"}."""
import json
import os
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2

COUNT = "INSERT INTO visits DEFAULT VALUES RETURNING id"


class Api(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/visits":
            return self.answer(404, {"error": "there is only /visits"})
        try:
            self.answer(200, {"visits": count(), "from": socket.gethostname()})
        except psycopg2.Error as error:
            self.answer(503, {"error": str(error).strip()})

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def count():
    connection = psycopg2.connect(os.environ["DATABASE"], connect_timeout=3)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE IF NOT EXISTS visits (id serial PRIMARY KEY)")
            cursor.execute(COUNT)
            return cursor.fetchone()[0]
    finally:
        connection.close()


ThreadingHTTPServer(("", 8000), Api).serve_forever()
