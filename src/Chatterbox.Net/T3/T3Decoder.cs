namespace Chatterbox.T3;

/// <summary>Turns the text tokens of many sequences into speech tokens: the sequences come and go, and a step advances all of
/// them.</summary>
/// <remarks>
/// A model has one decoder, which all of its requests share; one thread at a time uses it. What a sequence says depends on its own
/// text, voice, settings and noise alone, to the bit, whichever sequences are stepped with it. <see cref="PlainT3Decoder"/> is
/// the reference that every faster implementation is tested against.
/// </remarks>
internal interface IT3Decoder : IDisposable
{
    /// <summary>Most sequences that may be open at once.</summary>
    int Capacity { get; }

    /// <summary>Sequences that are best stepped together: 1 where each costs as much in company as alone.</summary>
    int Width { get; }

    /// <summary>Blocks of keys and values; none where each sequence has memory of its own.</summary>
    CacheUse Cache => default;

    /// <summary>Opens a sequence: checks the request, and runs the model over everything before the first speech token, now or
    /// as a part of the next step.</summary>
    /// <param name="textTokens">The text, without start and stop tokens.</param>
    /// <param name="voice">The speaker.</param>
    /// <param name="sampling">How tokens are chosen.</param>
    /// <param name="noise">The request's random numbers, one draw a speech token; stays the caller's. After the last speech token, and
    /// once the sequence is disposed, it stands where drawing the received tokens has left it.</param>
    /// <returns>The sequence; disposing it frees its place before the next step.</returns>
    /// <exception cref="RequestException">The text or a setting cannot be used.</exception>
    /// <exception cref="VoiceException">The voice is not of the sizes that the model was made for.</exception>
    /// <exception cref="InvalidOperationException"><see cref="Capacity"/> sequences are open.</exception>
    T3Sequence Start(IReadOnlyList<int> textTokens, T3Prompt voice, SamplingOptions sampling, NoiseSource noise);

    /// <summary>Advances each sequence by a step; finished ones are skipped. One whose logits are not finite becomes invalid.</summary>
    /// <remarks>An implementation that runs some steps ahead of the host may bring a sequence no speech token in a step, as in
    /// the first ones after it was opened. In each step at least one of the unfinished sequences makes progress.</remarks>
    void Step(params ReadOnlySpan<T3Sequence> sequences);
}

/// <summary>One request in an <see cref="IT3Decoder"/>.</summary>
/// <param name="stopToken">Ends the speech.</param>
/// <param name="limit">Most speech tokens.</param>
internal abstract class T3Sequence(int stopToken, int limit) : IDisposable
{
    private readonly List<int> _speechTokens = [];

    /// <summary>The speech tokens so far, as drawn; the stop token too.</summary>
    public IReadOnlyList<int> SpeechTokens => _speechTokens;

    /// <summary>True once the stop token was drawn or the limit reached, or if the sequence is invalid.</summary>
    public bool Finished => IsInvalid || Stopped || _speechTokens.Count == limit;

    /// <summary>True where the sequence ended without a stop token, so that the end of the text may be missing.</summary>
    public bool ReachedLimit => _speechTokens.Count == limit && !Stopped;

    /// <summary>True once logits were not finite: the speech has no end.</summary>
    public bool IsInvalid { get; private set; }

    /// <summary>True once the sequence is continued by plain operations because the fast ones gave logits that are not finite.</summary>
    public bool Recovered { get; protected set; }

    private bool Stopped => _speechTokens.Count > 0 && _speechTokens[^1] == stopToken;

    /// <inheritdoc/>
    public abstract void Dispose();

    /// <summary>Throws if the sequence is invalid.</summary>
    /// <exception cref="InvalidOutputException">It is.</exception>
    public void ThrowIfInvalid()
    {
        if (IsInvalid)
        {
            throw new InvalidOutputException(SynthesisStage.T3);
        }
    }

    /// <summary>Appends the next speech token, for the decoder; with <see cref="SpeechTokenSampler.Invalid"/> the sequence becomes
    /// invalid.</summary>
    internal void Add(int speechToken)
    {
        if (speechToken == SpeechTokenSampler.Invalid)
        {
            IsInvalid = true;
        }
        else
        {
            _speechTokens.Add(speechToken);
        }
    }
}

/// <summary>Raw speech tokens of one text.</summary>
/// <param name="SpeechTokens">As drawn, the stop token included where there was one; <see cref="T3Config.SpeechCodesOf"/> returns those
/// that
/// are sound.</param>
/// <param name="ReachedLimit">True where the limit came before the stop token, so that the end of the text may be missing.</param>
/// <param name="Recovered">As <see cref="T3Sequence.Recovered"/>.</param>
internal sealed record T3Result(int[] SpeechTokens, bool ReachedLimit, bool Recovered);

/// <summary>A whole text at once.</summary>
internal static class T3Generation
{
    /// <summary>Generates the speech tokens of one text from beginning to end.</summary>
    /// <param name="decoder">Generates them.</param>
    /// <param name="textTokens">The text, without start and stop tokens.</param>
    /// <param name="voice">The speaker.</param>
    /// <param name="sampling">How tokens are chosen.</param>
    /// <param name="noise">The request's random numbers; one draw a token.</param>
    /// <param name="progress">Receives the number of speech tokens after each.</param>
    /// <param name="cancellationToken">Ends the work before the next token.</param>
    /// <exception cref="RequestException">The text or a setting cannot be used.</exception>
    /// <exception cref="VoiceException">The voice is not of the sizes that the model was made for.</exception>
    /// <exception cref="InvalidOutputException">Logits are not finite.</exception>
    public static T3Result Generate(
        this IT3Decoder decoder,
        IReadOnlyList<int> textTokens,
        T3Prompt voice,
        SamplingOptions sampling,
        NoiseSource noise,
        IProgress<int>? progress = null,
        CancellationToken cancellationToken = default
    )
    {
        cancellationToken.ThrowIfCancellationRequested();
        using var sequence = decoder.Start(textTokens, voice, sampling, noise);
        while (!sequence.Finished)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var before = sequence.SpeechTokens.Count;
            decoder.Step(sequence);
            if (sequence.SpeechTokens.Count > before)
            {
                progress?.Report(sequence.SpeechTokens.Count);
            }
        }

        sequence.ThrowIfInvalid();
        return new([.. sequence.SpeechTokens], sequence.ReachedLimit, sequence.Recovered);
    }
}
