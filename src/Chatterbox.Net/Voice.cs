namespace Chatterbox;

/// <summary>A speaker as the networks need it: computed from a recording once, used for any number of requests.</summary>
/// <remarks>Immutable and free of tensors, so it can be shared between threads, models and devices. Ports the
/// Conditionals of chatterbox tts.py; the emotion setting, which the reference keeps there, belongs to the request.</remarks>
/// <param name="T3">What T3 is conditioned on.</param>
/// <param name="S3Gen">The reference speech that S3Gen continues.</param>
public sealed record Voice(T3Prompt T3, S3GenPrompt S3Gen);

/// <summary>The speaker for T3.</summary>
/// <param name="SpeakerEmbedding">The voice encoder's embedding of the whole recording, 256 numbers of unit length.</param>
/// <param name="SpeechTokens">S3 tokens of the recording's beginning, 25 a second: at most 150 (English and multilingual) or 375 (Turbo,
/// Nano).</param>
public sealed record T3Prompt(IReadOnlyList<float> SpeakerEmbedding, IReadOnlyList<int> SpeechTokens);

/// <summary>The speaker for S3Gen: the first 10 s of the recording.</summary>
/// <param name="SpeechTokens">S3 tokens, 25 a second; at most half as many as there are mel frames.</param>
/// <param name="Mel">Mel spectrogram, frames × 80 bands row by row, 50 frames a second.</param>
/// <param name="XVector">CAM++'s embedding, 192 numbers.</param>
public sealed record S3GenPrompt(IReadOnlyList<int> SpeechTokens, IReadOnlyList<float> Mel, IReadOnlyList<float> XVector);
