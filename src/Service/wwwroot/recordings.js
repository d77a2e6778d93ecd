// The tabs for recordings: conversion to another voice, and the check for the watermark.
import { at, post } from './api.js';

async function submit(event, button, status, work) {
  event.preventDefault();
  button.disabled = true;
  try {
    await work();
  } catch (error) {
    status.textContent = error.message;
  } finally {
    button.disabled = false;
  }
}

async function convert() {
  const form = new FormData();
  form.set('file', at('convert-file').files[0]);
  const target = at('target-file').files[0];
  if (target) form.set('voice_file', target);
  else form.set('voice', at('target-voice').value);
  form.set('response_format', 'wav');
  form.set('stream', 'false');
  at('convert-status').textContent = 'Converting…';
  const blob = await (await post('v1/audio/conversions', form)).blob();
  URL.revokeObjectURL(at('converted').src);
  at('converted').src = at('converted-file').href = URL.createObjectURL(blob);
  at('convert-result').hidden = false;
  at('convert-status').textContent = 'Done.';
}

async function check() {
  const form = new FormData();
  form.set('file', at('check-file').files[0]);
  at('check-status').textContent = 'Checking…';
  const { marked, confidence, seconds } = await (await post('v1/audio/watermark', form)).json();
  at('check-status').textContent = confidence === null ? 'There is nothing to judge: it is silent, or too short.'
    : `${marked ? 'It carries the watermark: it was generated.' : 'It carries no watermark.'} (Confidence ${(confidence * 100).toFixed(0)} %, ${seconds.toFixed(1)} s.)`;
}

export function start() {
  at('convert-form').addEventListener('submit', event => submit(event, at('convert'), at('convert-status'), convert));
  at('check-form').addEventListener('submit', event => submit(event, at('check'), at('check-status'), check));
}
