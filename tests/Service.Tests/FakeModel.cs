using System.Collections.Concurrent;
using Chatterbox.Audio;
using Chatterbox.Engine;

namespace Chatterbox.Service.Tests;

/// <summary>
/// A model whose time is the test's: it makes a tone that depends on text, voice, seed and settings, at once or when it
/// is let go.
/// </summary>
internal sealed class FakeModel(Action? unloaded = null) : ISpeechModel
{
    /// <summary>A text that is spoken in two pieces.</summary>
    public const string TwoPieces = "This sentence is the first of them, and it is long enough to be a piece by itself, or so its author did hope. "
        + "This is the second sentence, which is not spoken together with the first.";

    private readonly SemaphoreSlim _turns = new(0);

    /// <summary>What was asked of it, in order.</summary>
    public ConcurrentQueue<(string Text, SamplingOptions Sampling, Voice Voice, string? Language)> Calls { get; } = new();

    /// <summary>How each piece was to be cut, in order; null for a whole one.</summary>
    public ConcurrentQueue<ChunkOptions?> Chunks { get; } = new();

    /// <summary>True while a turn waits for <see cref="LetGo"/>.</summary>
    public bool IsWaiting => Volatile.Read(ref _waiting) > 0 && _turns.CurrentCount == 0;

    /// <summary>What was given up while it was being spoken.</summary>
    public ConcurrentQueue<string> Cancelled { get; } = new();

    /// <summary>Voices that were made.</summary>
    public int VoicesMade;

    /// <summary>Most calls at once; more than one is a fault.</summary>
    public int MostAtOnce;

    private int _atOnce;
    private int _waiting;

    /// <summary>What goes wrong with the next pieces: endless, stuck, silence, silent end, or nothing.</summary>
    public ConcurrentQueue<string> Faults { get; } = new();

    /// <summary>True to wait before each piece or chunk until <see cref="LetGo"/>.</summary>
    public bool Holds { get; set; }

    /// <summary>Samples of each chunk of a piece; null speaks whole pieces only.</summary>
    public int? ChunkSamples { get; set; }

    /// <inheritdoc/>
    public Voice? BuiltInVoice { get; } = MakeVoice(1);

    /// <summary>Lets pieces or chunks that wait, or will, be spoken.</summary>
    public void LetGo(int turns = 1) => _turns.Release(turns);

    /// <summary>Takes back what nobody has used of it.</summary>
    public void HoldAgain()
    {
        while (_turns.Wait(0))
        {
        }
    }

    /// <inheritdoc/>
    public SpeechResult Synthesize(
        string text, Voice voice, SamplingOptions sampling, string? language = null, IProgress<SynthesisProgress>? progress = null, CancellationToken cancel = default)
    {
        Calls.Enqueue((text, sampling, voice, language));
        Chunks.Enqueue(null);
        return TakeTurn(text, () => Say(text, voice, sampling), cancel);
    }

    /// <inheritdoc/>
    public IChunkedSpeech OpenStream(string text, Voice voice, SamplingOptions sampling, ChunkOptions chunks, string? language = null)
    {
        Calls.Enqueue((text, sampling, voice, language));
        Chunks.Enqueue(chunks);
        return new Stream(this, text, () => Say(text, voice, sampling));
    }

    private T TakeTurn<T>(string text, Func<T> speak, CancellationToken cancel)
    {
        MostAtOnce = Math.Max(MostAtOnce, Interlocked.Increment(ref _atOnce));
        try
        {
            if (Holds)
            {
                Interlocked.Increment(ref _waiting);
                try
                {
                    _turns.Wait(cancel);
                }
                finally
                {
                    Interlocked.Decrement(ref _waiting);
                }
            }

            return speak();
        }
        catch (OperationCanceledException)
        {
            Cancelled.Enqueue(text);
            throw;
        }
        finally
        {
            Interlocked.Decrement(ref _atOnce);
        }
    }

    private SpeechResult Say(string text, Voice voice, SamplingOptions sampling)
    {
        if (text.Contains("unspeakable", StringComparison.Ordinal))
        {
            throw new InvalidOperationException("A fault of the model.");
        }

        if (text.Contains("unusable", StringComparison.Ordinal))
        {
            throw new RequestException("The model cannot use this.", nameof(SamplingOptions.CfgWeight));
        }

        var fault = Faults.TryDequeue(out var next) ? next : "";
        var samples = Tone(text, voice, sampling);
        float[] spoken = fault switch
        {
            "stuck" => [.. Enumerable.Repeat(samples, 20).SelectMany(part => part)],
            "silence" => [.. samples, .. new float[72_000], .. samples],
            "silent end" => [.. samples, .. new float[48_000]],
            _ => samples,
        };
        int[] tokens = fault == "stuck" ? [.. Enumerable.Repeat(7, 100)] : [.. Enumerable.Range(0, text.Length * 2)];
        return new SpeechResult(spoken, text.Length, tokens, ReachedLimit: fault == "endless") { UnknownCharacters = [.. text.Where(c => c >= '\u16A0').Select(c => $"{c}").Distinct()] };
    }

    /// <summary>The samples of a piece: what every answer must agree with.</summary>
    public static float[] Tone(string text, Voice voice, SamplingOptions sampling)
    {
        var pitch = 100 + (text.Sum(c => c) % 400) + ((sampling.Seed ?? 0) % 97) + (10 * voice.T3.SpeakerEmbedding[0]) + (100 * (sampling.Exaggeration ?? 0.5));
        return [.. Enumerable.Range(0, 1200 * (1 + (text.Length / 4))).Select(i => 0.5f * MathF.Sin((float)(2 * Math.PI * pitch * i / SpeechResult.SampleRate)))];
    }

    /// <inheritdoc/>
    public Voice CreateVoice(AudioClip recording)
    {
        Interlocked.Increment(ref VoicesMade);
        return recording.Duration < TimeSpan.FromSeconds(0.5)
            ? throw new VoiceException($"The recording has {recording.Duration.TotalSeconds:0.0} s; it needs 0.5 s. Use a longer one.")
            : MakeVoice(recording.Samples.Length % 1000);
    }

    /// <inheritdoc/>
    public IVoiceConversion BeginConversion(AudioClip source, Voice target, long? seed = null) => new Conversion(this, source, target, seed!.Value);

    /// <summary>Sure of a loud recording, and of silence not at all.</summary>
    public double? DetectWatermark(AudioClip recording) => recording.Samples.Max() is var peak && peak > 0 ? peak : null;

    /// <inheritdoc/>
    public void Dispose() => unloaded?.Invoke();

    private static Voice MakeVoice(float mark) => new(new T3Prompt([mark], []), new S3GenPrompt([], [], []));

    /// <summary>A piece for each second begun of the recording, which says its number.</summary>
    private sealed class Conversion(FakeModel model, AudioClip source, Voice target, long seed) : IVoiceConversion
    {
        private int _next;

        public IReadOnlyList<int> SpeechTokens => new int[(int)(source.Duration.TotalSeconds * SpeechResult.TokensPerSecond)];

        public bool IsOver => _next >= source.Duration.TotalSeconds;

        public float[] ConvertNext(IProgress<SynthesisProgress>? progress = null, CancellationToken cancel = default) =>
            model.Synthesize($"second {_next++}", target, new SamplingOptions { Seed = seed }, null, progress, cancel).Samples;

        public void Dispose()
        {
        }
    }

    /// <summary>A piece, chunk by chunk; one that "breaks off" has a fault behind its first chunk.</summary>
    private sealed class Stream(FakeModel model, string text, Func<SpeechResult> say) : IChunkedSpeech
    {
        private SpeechResult? _speech;
        private int _given;

        public bool IsOver => _given == _speech?.Samples.Length;

        public int TextTokens => _speech!.TextTokens;

        public IReadOnlyList<int> SpeechTokens => _speech!.SpeechTokens;

        public bool ReachedLimit => _speech!.ReachedLimit;

        public IReadOnlyList<string> UnknownCharacters => _speech!.UnknownCharacters;

        public float[] NextChunk(CancellationToken cancel = default) => model.TakeTurn(
            text,
            () =>
            {
                _speech ??= say();
                if (_given > 0 && text.Contains("breaks off", StringComparison.Ordinal))
                {
                    throw new InvalidOperationException("A fault of the model.");
                }

                var from = _given;
                _given = Math.Min(_speech.Samples.Length, from + (model.ChunkSamples ?? int.MaxValue / 2));
                return _speech.Samples[from.._given];
            },
            cancel);

        public void Dispose()
        {
        }
    }
}
