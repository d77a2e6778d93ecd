// A text that is longer than the page's route takes: a job makes a file of it in the background.
import { at, events, get, post, remove, save } from './api.js';

let id = null;

const show = job => {
  at('job-progress').max = job.pieces_total;
  at('job-progress').value = job.pieces_done;
  at('job-status').textContent = job.state === 'done' ? `The file is complete: ${Math.round(job.seconds)} s of speech.`
    : job.state === 'failed' ? job.error.message
    : job.waiting ?? `${job.state === 'queued' ? 'Waiting' : job.state === 'paused' ? 'Paused' : 'Generating'}: ${job.pieces_done} of ${job.pieces_total} pieces, ${Math.round(job.seconds)} s of speech.`;
  at('job-file').hidden = job.state !== 'done';
  at('job-cancel').textContent = job.state === 'done' ? 'Delete' : 'Cancel';
};

async function begin(body) {
  at('job').hidden = false;
  at('job-status').textContent = 'Sending the text…';
  try {
    const job = await (await post('v1/audio/jobs', body)).json();
    id = job.id;
    show(job);
    for await (const now of events(await get(`v1/audio/jobs/${id}/events`, 'text/event-stream'))) {
      if (now.id !== id) return; // another has begun since
      if (now.state !== 'deleted') show(now);
    }
  } catch (error) {
    at('job-status').textContent = error.message;
  }
}

export function start(body) {
  at('as-job').addEventListener('click', () => begin(body()));
  at('job-file').addEventListener('click', async () => save(await (await get(`v1/audio/jobs/${id}/result`, '*/*')).blob(), 'speech.mp3'));
  at('job-cancel').addEventListener('click', async () => {
    await remove(`v1/audio/jobs/${id}`).catch(() => { });
    id = null;
    at('job').hidden = true;
  });
}
