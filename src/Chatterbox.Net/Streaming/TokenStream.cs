using Chatterbox.T3;

namespace Chatterbox.Streaming;

/// <summary>The speech tokens of one utterance, made when they are asked for.</summary>
internal sealed class TokenStream : IDisposable
{
    private readonly T3Config _config;
    private readonly RepetitionMeter? _repetition;
    private readonly T3Decoder _decoder;
    private readonly T3Sequence _sequence;
    private readonly List<int> _spoken = [];
    private bool _isStuck;

    /// <param name="model">Makes the tokens.</param>
    /// <param name="textTokens">What is said.</param>
    /// <param name="voice">Who says it.</param>
    /// <param name="sampling">How tokens are chosen.</param>
    /// <param name="noise">The request's random numbers; stays the caller's.</param>
    /// <param name="endsWhenStuck">Whether speech ends that says the same over and over.</param>
    /// <exception cref="RequestException">The text or a setting cannot be used.</exception>
    /// <exception cref="VoiceException">The voice is not of the sizes that the model was made for.</exception>
    public TokenStream(T3Model model, IReadOnlyList<int> textTokens, T3Prompt voice, SamplingOptions sampling, NoiseSource noise, bool endsWhenStuck)
    {
        _config = model.Config;
        _repetition = endsWhenStuck ? new() : null;
        _decoder = new T3Decoder(model);
        try
        {
            _sequence = _decoder.Start(textTokens, voice, sampling, noise);
        }
        catch
        {
            _decoder.Dispose();
            throw;
        }
    }

    /// <summary>The tokens so far that are sound.</summary>
    public IReadOnlyList<int> Spoken => _spoken;

    /// <summary>True where no token will follow.</summary>
    public bool Finished => _isStuck || _sequence.Finished;

    /// <summary>True where the speech did not end by itself, so that the end of the text may be missing.</summary>
    public bool ReachedLimit => _isStuck || _sequence.ReachedLimit;

    /// <summary>Makes tokens until there are enough or the speech ends.</summary>
    /// <param name="count">How many tokens of sound are enough.</param>
    /// <param name="stop">Looked at before each token.</param>
    public void Generate(int count, CancellationToken stop)
    {
        while (_spoken.Count < count && !Finished && !stop.IsCancellationRequested)
        {
            _decoder.Step(_sequence);
            Take(_sequence.SpeechTokens[^1]);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _sequence.Dispose();
        _decoder.Dispose();
    }

    private void Take(int token)
    {
        _isStuck = _repetition?.Hear(token) ?? false;
        _spoken.AddRange(_config.SpeechCodesOf([token]));
    }
}
