// The same request in other languages.
import { at } from './api.js';

const quote = text => JSON.stringify(text);
const shell = text => `'${text.replaceAll("'", "'\\''")}'`;

const LANGUAGES = {
  curl: (url, body, key) => `curl ${url}/v1/audio/speech \\\n  -H 'Content-Type: application/json' \\\n${key ? "  -H 'Authorization: Bearer KEY' \\\n" : ''}  -d ${shell(JSON.stringify(body))} -o speech.wav`,

  csharp: (url, body, key) => `using System.Net.Http.Json;

using var http = new HttpClient { BaseAddress = new Uri(${quote(url)}) };
${key ? 'http.DefaultRequestHeaders.Authorization = new("Bearer", "KEY");\n' : ''}var answer = await http.PostAsJsonAsync("/v1/audio/speech", new Dictionary<string, object>
{
${Object.entries(body).map(([name, value]) => `    [${quote(name)}] = ${typeof value === 'string' ? quote(value) : value},`).join('\n')}
});
answer.EnsureSuccessStatusCode();
await File.WriteAllBytesAsync("speech.wav", await answer.Content.ReadAsByteArrayAsync());`,

  python: (url, body, key) => `import json
import urllib.request

body = json.loads(${quote(JSON.stringify(body))})
request = urllib.request.Request(
    ${quote(`${url}/v1/audio/speech`)},
    data=json.dumps(body).encode(),
    headers={"Content-Type": "application/json"${key ? ', "Authorization": "Bearer KEY"' : ''}},
)
with urllib.request.urlopen(request) as answer, open("speech.wav", "wb") as file:
    file.write(answer.read())`,

  javascript: (url, body, key) => `import { writeFile } from 'node:fs/promises';

const answer = await fetch(${quote(`${url}/v1/audio/speech`)}, {
  method: 'POST',
  headers: { 'Content-Type': 'application/json'${key ? ", Authorization: 'Bearer KEY'" : ''} },
  body: JSON.stringify(${JSON.stringify(body, null, 2).replaceAll('\n', '\n  ')}),
});
if (!answer.ok) throw new Error(await answer.text());
await writeFile('speech.wav', Buffer.from(await answer.arrayBuffer()));`,
};

/** Shows the request that the form stands for. */
export function showSnippet(body) {
  const url = new URL('.', location.href).href.replace(/\/$/, '');
  at('snippet').textContent = LANGUAGES[at('snippet-language').value](url, { ...body, response_format: 'wav', stream: false }, at('key').value);
}

export function start(refresh) {
  at('snippet-language').addEventListener('change', refresh);
  at('copy').addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(at('snippet').textContent);
      at('copied').textContent = 'Copied.';
    } catch {
      getSelection().selectAllChildren(at('snippet'));
      at('copied').textContent = 'Press Ctrl+C to copy.';
    }
  });
}
