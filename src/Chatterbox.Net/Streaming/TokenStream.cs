using System.Diagnostics;
using Chatterbox.T3;

namespace Chatterbox.Streaming;

/// <summary>The speech tokens of one utterance, made when they are asked for.</summary>
internal sealed class TokenStream : IDisposable
{
    private readonly T3Config _config;
    private readonly RepetitionMeter? _repetition;
    private readonly ChunkPace _pace;
    private readonly T3Decoder _decoder;
    private readonly T3Sequence _sequence;
    private readonly List<int> _spoken = [];
    private int _drawn;
    private bool _isStuck;

    /// <param name="model">Makes the tokens.</param>
    /// <param name="textTokens">What is said.</param>
    /// <param name="voice">Who says it.</param>
    /// <param name="sampling">How tokens are chosen.</param>
    /// <param name="noise">The request's random numbers; stays the caller's.</param>
    /// <param name="endsWhenStuck">Whether speech ends that says the same over and over.</param>
    /// <param name="pace">Told how fast it goes.</param>
    /// <exception cref="RequestException">The text or a setting cannot be used.</exception>
    /// <exception cref="VoiceException">The voice is not of the sizes that the model was made for.</exception>
    public TokenStream(T3Model model, IReadOnlyList<int> textTokens, T3Prompt voice, SamplingOptions sampling, NoiseSource noise, bool endsWhenStuck, ChunkPace pace)
    {
        _config = model.Config;
        _repetition = endsWhenStuck ? new() : null;
        _pace = pace;
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
        var (before, started) = (_drawn, Stopwatch.GetTimestamp());
        while (_spoken.Count < count && !Finished && !stop.IsCancellationRequested)
        {
            _decoder.Step(_sequence);
            Take(_sequence.SpeechTokens[^1]);
        }

        _pace.Stepped(_drawn - before, Stopwatch.GetElapsedTime(started));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _sequence.Dispose();
        _decoder.Dispose();
    }

    private void Take(int token)
    {
        _drawn++;
        _isStuck = _repetition?.Hear(token) ?? false;
        _spoken.AddRange(_config.SpeechCodesOf([token]));
    }
}
