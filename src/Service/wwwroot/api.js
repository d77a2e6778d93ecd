// Requests to the service, with the key where there is one; refusals become errors with the service's words.
export const at = id => document.getElementById(id);

function headers(more = {}) {
  const key = at('key').value;
  return key ? { ...more, Authorization: `Bearer ${key}` } : more;
}

async function checked(answer) {
  if (answer.ok) return answer;
  at('key-label').hidden = at('key-label').hidden && answer.status !== 401;
  const error = await answer.json().catch(() => null);
  throw new Error(error?.detail ?? error?.error?.message ?? `The service answered ${answer.status}.`);
}

export const get = async (path, accept = 'application/json') => checked(await fetch(path, { headers: headers({ Accept: accept }) }));
export const getJson = async path => (await get(path)).json();

/** Sends JSON, or a form. */
export async function post(path, body, signal) {
  const isForm = body instanceof FormData;
  return checked(await fetch(path, {
    method: 'POST', signal, headers: headers(isForm || body === undefined ? {} : { 'Content-Type': 'application/json' }), body: isForm ? body : JSON.stringify(body),
  }));
}

export const remove = async path => checked(await fetch(path, { method: 'DELETE', headers: headers() }));

/** The data of the events of an answer, one by one. */
export async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) if (block.startsWith('data: ')) yield JSON.parse(block.slice(6));
  }
}

export const bytesOf = base64 => Uint8Array.from(atob(base64), c => c.charCodeAt(0));

/** Saves a file under a name. */
export function save(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
