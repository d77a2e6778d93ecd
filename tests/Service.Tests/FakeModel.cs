using System.Collections.Concurrent;
using System.Numerics.Tensors;
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
    public const string TwoPieces =
        "This sentence is the first of them, and it is long enough to be a piece by itself, or so its author did hope. "
        + "This is the second sentence, which is not spoken together with the first.";

    private readonly SemaphoreSlim _turns = new(0);

    /// <summary>What was asked of it, in order.</summary>
    public ConcurrentQueue<(string Text, SamplingOptions Sampling, Voice Voice, string? Language)> Calls { get; } = new();

    /// <summary>Whose turns it took, in order: texts, and watermark.</summary>
    public ConcurrentQueue<string> Turns { get; } = new();

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
        while (_turns.Wait(0)) { }
    }

    /// <inheritdoc/>
    public IUtterance Begin(string text, Voice voice, SamplingOptions sampling, ChunkOptions? chunks = null, string? language = null)
    {
        Calls.Enqueue((text, sampling, voice, language));
        Chunks.Enqueue(chunks);
        return new Utterance(
            this,
            text,
            () => Say(text, voice, sampling),
            chunks is null ? int.MaxValue / 2 : ChunkSamples ?? int.MaxValue / 2
        );
    }

    /// <inheritdoc/>
    public void Advance(IReadOnlyList<IUtterance> utterances) =>
        throw new NotSupportedException("All speech tokens are known from the beginning.");

    /// <inheritdoc/>
    public void VoiceChunks(IReadOnlyList<DueChunk> due)
    {
        foreach (var chunk in due)
        {
            chunk.Voice(((Utterance)chunk.Utterance).NextChunk);
        }
    }

    private float[] SaySecond(string text, Voice voice, SamplingOptions sampling, CancellationToken cancellationToken)
    {
        Calls.Enqueue((text, sampling, voice, null));
        Chunks.Enqueue(null);
        return TakeTurn(text, () => Say(text, voice, sampling), cancellationToken).Samples.ToArray();
    }

    private T TakeTurn<T>(string text, Func<T> speak, CancellationToken cancellationToken)
    {
        Turns.Enqueue(text);
        MostAtOnce = Math.Max(MostAtOnce, Interlocked.Increment(ref _atOnce));
        try
        {
            if (Holds)
            {
                Interlocked.Increment(ref _waiting);
                try
                {
                    if (!_turns.Wait(Waits.Limit, cancellationToken))
                    {
                        throw new InvalidOperationException($"The test has not let '{text}' be spoken.");
                    }
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
        return new SpeechResult(spoken, text.Length, tokens, ReachedLimit: fault == "endless")
        {
            UnknownCharacters = [.. text.Where(c => c >= '\u16A0').Select(c => $"{c}").Distinct()],
        };
    }

    /// <summary>The samples of a piece: what every answer must agree with.</summary>
    public static float[] Tone(string text, Voice voice, SamplingOptions sampling)
    {
        var pitch =
            100
            + (text.Sum(c => c) % 400)
            + ((sampling.Seed ?? 0) % 97)
            + (10 * voice.T3.SpeakerEmbedding[0])
            + (100 * (sampling.Exaggeration ?? 0.5));
        return
        [
            .. Enumerable
                .Range(0, 1200 * (1 + (text.Length / 4)))
                .Select(i => 0.5f * MathF.Sin((float)(2 * Math.PI * pitch * i / SpeechResult.SampleRate))),
        ];
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
    public IVoiceConversion BeginConversion(AudioClip source, Voice target, long? seed = null) =>
        new Conversion(this, source, target, seed!.Value);

    /// <summary>Sure of a loud recording, and of silence not at all.</summary>
    public double? DetectWatermark(AudioClip recording) =>
        TakeTurn(
            "watermark",
            () => TensorPrimitives.Max(recording.Samples.Span) is var peak && peak > 0 ? (double?)peak : null,
            CancellationToken.None
        );

    /// <inheritdoc/>
    public void Dispose() => unloaded?.Invoke();

    private static Voice MakeVoice(float mark) => new(new T3Prompt([mark], []), new S3GenPrompt([], [], []));

    /// <summary>A piece for each second begun of the recording, which says its number.</summary>
    private sealed class Conversion(FakeModel model, AudioClip source, Voice target, long seed) : IVoiceConversion
    {
        private int _next;

        public IReadOnlyList<int> SpeechTokens => new int[(int)(source.Duration.TotalSeconds * SpeechResult.TokensPerSecond)];

        public bool IsOver => _next >= source.Duration.TotalSeconds;

        public ReadOnlyMemory<float> ConvertNext(
            IProgress<SynthesisProgress>? progress = null,
            CancellationToken cancellationToken = default
        ) => model.SaySecond($"second {_next++}", target, new SamplingOptions { Seed = seed }, cancellationToken);

        public void Dispose() { }
    }

    /// <summary>A piece, chunk by chunk; one that "breaks off" has a fault behind its first chunk.</summary>
    private sealed class Utterance(FakeModel model, string text, Func<SpeechResult> say, int chunkSamples) : IUtterance
    {
        private SpeechResult? _speech;
        private int _given;

        public int TextTokens => _speech!.TextTokens;

        public IReadOnlyList<int> SpeechTokens => _speech!.SpeechTokens;

        public bool ReachedLimit => _speech!.ReachedLimit;

        public IReadOnlyList<string> UnknownCharacters => _speech!.UnknownCharacters;

        public bool NeedsSteps => false;

        public bool IsDue => _speech is null || _given < _speech.Samples.Length;

        public void TakeChunk() { }

        public VoicedChunk NextChunk(CancellationToken cancellationToken) =>
            model.TakeTurn(
                text,
                () =>
                {
                    _speech ??= say();
                    if (_given > 0 && text.Contains("breaks off", StringComparison.Ordinal))
                    {
                        throw new InvalidOperationException("A fault of the model.");
                    }

                    var from = _given;
                    _given = Math.Min(_speech.Samples.Length, from + chunkSamples);
                    return new VoicedChunk(_speech.Samples[from.._given], IsLast: _given == _speech.Samples.Length);
                },
                cancellationToken
            );

        public void Dispose() { }
    }
}
