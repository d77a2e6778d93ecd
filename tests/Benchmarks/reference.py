"""Times the Python reference stage by stage, at full size with synthetic weights: the other column of `Benchmarks table`.

usage: python3 reference.py cuda|cpu english turbo nano

What it measures goes, as `name<TAB>value` in ms or GiB, to the file that CHATTERBOX_BENCHMARK_RECORD names; the names are
those of the measurements beside it. It needs the package chatterbox-tts, 0.1.7, and what that asks for.
"""
import contextlib, gc, io, json, os, sys, time, warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ["TQDM_DISABLE"] = "1"
warnings.simplefilter("ignore")
import numpy as np, torch
import torch.nn.functional as F

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "fixtures" / "parity")]
import synth
from chatterbox.models.s3gen import S3Gen
from chatterbox.models.t3 import T3
from chatterbox.models.t3.modules.cond_enc import T3Cond
from chatterbox.models.t3.modules.t3_config import T3Config
from chatterbox.models.voice_encoder import VoiceEncoder
from perth.perth_net.perth_net_implicit.config import default_hp
from perth.perth_net.perth_net_implicit.model.perth_net import PerthNet
from perth.perth_net.perth_net_implicit.perth_watermarker import PerthImplicitWatermarker
import librosa

TOKENS, REPETITIONS = 250, 3
GIB = 2 ** 30

torch.set_grad_enabled(False)
device, models = sys.argv[1], sys.argv[2:]
on_gpu = device != "cpu"
places = [HERE / "synthetic-manifest.json", HERE.parents[1] / "src/Chatterbox.Net/Models/synthetic-manifest.json"]
manifest = json.loads(next(place for place in places if place.exists()).read_text())

# Networks begin with random weights, which takes longer than making those that they are given.
for name in ("uniform_", "normal_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "xavier_normal_"):
    setattr(torch.nn.init, name, lambda weight, *_, **__: weight)


def record(name, value):
    print(f"  reference, {name}: {value:.3f}", flush=True)
    if "CHATTERBOX_BENCHMARK_RECORD" in os.environ:
        with open(os.environ["CHATTERBOX_BENCHMARK_RECORD"], "a") as file:
            file.write(f"{name}\t{value}\n")


def load(network, file, place=device):
    def weight(entry):
        name, dtype, shape, offset, scale = entry
        return name, torch.from_numpy(synth.tensor(name, shape, dtype, offset, scale))

    with ThreadPoolExecutor() as pool:
        network.load_state_dict(dict(pool.map(weight, manifest[file])), strict=False)
    return network.to(place).eval()


def clocked(work):
    """What some work gives, and the milliseconds until it is there."""
    if on_gpu:
        torch.cuda.synchronize()
    begin = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        result = work()
    if on_gpu:
        torch.cuda.synchronize()
    return result, 1000 * (time.perf_counter() - begin)


def median(values):
    return sorted(values)[len(values) // 2]


def timed(name, work):
    """The median of a few, after one that warms up."""
    runs = [clocked(work) for _ in range(REPETITIONS + 1)]
    record(name, median([milliseconds for _, milliseconds in runs[1:]]))
    return runs[0][0]


def used():
    torch.cuda.synchronize()
    free, total = torch.cuda.mem_get_info()
    return total - free


i = np.arange(480000)
recording = (0.3 * np.sin(i * (0.01 + 0.002 * np.sin(i / 9000))) * np.sin(i / 3000)).astype(np.float32)   # 10 s at 48 kHz


def measure(model):
    english = model == "english"
    flow = "standard" if english else "meanflow"
    s3gen = load(S3Gen(meanflow=not english), "s3gen" if english else "s3gen_meanflow")
    speaker_encoder = load(VoiceEncoder(), "ve")
    watermarker = PerthImplicitWatermarker(run_name=None, perth_net=load(PerthNet(default_hp), "perth_net", "cpu"))   # as the package has it
    if english:
        t3 = load(T3(), "t3_cfg")
    else:
        config = T3Config(text_tokens_dict_size=50276)
        config.llama_config_name, config.speech_tokens_dict_size, config.input_pos_emb = "GPT2_small" if model == "nano" else "GPT2_medium", 6563, None
        config.speech_cond_prompt_len, config.use_perceiver_resampler, config.emotion_adv = 375, False, False
        t3 = load(T3(config), "t3_nano_v1" if model == "nano" else "t3_turbo_v1")

    t3.hp.stop_speech_token = -1   # synthetic weights say stop now and then, and it is 10 s that are timed

    def make_voice():
        wav = librosa.resample(recording, orig_sr=48000, target_sr=24000)
        wav16 = librosa.resample(wav, orig_sr=24000, target_sr=16000)
        reference = s3gen.embed_ref(wav, 24000, device=device)
        seconds, most = (6, 150) if english else (15, 375)
        tokens, _ = s3gen.tokenizer.forward([wav16[:seconds * 16000]], max_len=most)
        speaker = torch.from_numpy(speaker_encoder.embeds_from_wavs([wav16], sample_rate=16000)).mean(0, keepdim=True).to(device)
        return reference, torch.atleast_2d(tokens).to(device), speaker

    reference, prompt, speaker = timed(f"{flow} voice", make_voice)

    def speak_tokens():
        condition = T3Cond(speaker_emb=speaker, cond_prompt_speech_tokens=prompt, emotion_adv=0.5 * torch.ones(1, 1, 1, device=device))
        if english:
            text = torch.tensor([[(7 * k) % 600 + 20 for k in range(40)]] * 2, device=device)
            text = F.pad(F.pad(text, (1, 0), value=255), (0, 1), value=0)
            return t3.inference(t3_cond=condition, text_tokens=text, max_new_tokens=TOKENS, temperature=0.8, cfg_weight=0.5, top_p=1.0)[:1]
        text = torch.tensor([[(997 * k + 31) % 50000 for k in range(21)]], device=device)
        return t3.inference_turbo(condition, text, max_gen_len=TOKENS)

    def make_mel(tokens):
        copied = {key: value.clone() if torch.is_tensor(value) else value for key, value in reference.items()}
        return s3gen.flow_inference(tokens, ref_dict=copied, n_cfm_timesteps=10 if english else 2, finalize=True)

    def mark(wav):
        return watermarker.apply_watermark(wav.squeeze().cpu().numpy(), sample_rate=24000)

    def make_sound(tokens):
        wav, _ = s3gen.hift_inference(make_mel(tokens[tokens < 6561][None]), None)
        return mark(wav)

    tokens = torch.tensor([[(61 * k * k + 17 * k) % 6561 for k in range(TOKENS)]], device=device)
    mel = timed(f"{flow} tokens to mel", lambda: make_mel(tokens))
    wav, _ = timed(f"{flow} vocoder", lambda: s3gen.hift_inference(mel, None))
    timed(f"{flow} watermark", lambda: mark(wav))

    # T3 takes most of the time, so it is timed within the whole.
    times = []
    for _ in range(REPETITIONS + 1):
        spoken, in_t3 = clocked(speak_tokens)
        times.append((in_t3, in_t3 + clocked(lambda: make_sound(spoken))[1]))
    record(f"t3 {model} token with prefill", median([in_t3 for in_t3, _ in times[1:]]) / TOKENS)
    record(f"speech {model}", median([whole for _, whole in times[1:]]))
    if on_gpu:
        record(f"memory {model} empty", empty / GIB)
        for when in ("after", "with a voice made"):    # it has everything from the start
            record(f"memory {model} {when}", (used() - empty) / GIB)


if on_gpu:
    torch.zeros(1, device=device)
    empty = used()

for model in models:
    measure(model)
    gc.collect()
    if on_gpu:
        torch.cuda.empty_cache()
