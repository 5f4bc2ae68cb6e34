"""One POST by urllib alone, as a program in any language would make it. Input: {url, body, key?}. Output: JSON of the
status, the headers and the body; fails when the answer is cut.
"""
import json
import sys
import urllib.error
import urllib.request

given = json.load(sys.stdin)
headers = {"content-type": "application/json"}
if "key" in given:
    headers["authorization"] = "Bearer " + given["key"]
request = urllib.request.Request(given["url"], json.dumps(given["body"]).encode(), headers)
try:
    answer = urllib.request.urlopen(request, timeout=60)
except urllib.error.HTTPError as error:
    answer = error
text = answer.read().decode()
said = {name.lower(): value for name, value in answer.headers.items()}
json.dump({"status": answer.status, "headers": said, "text": text}, sys.stdout)
