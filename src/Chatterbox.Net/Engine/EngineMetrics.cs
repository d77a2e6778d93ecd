using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Chatterbox.Engine;

/// <summary>What an engine measures of its work, for whoever listens to the meter and the traces of this name.</summary>
public sealed class EngineMetrics
{
    /// <summary>Name of the meter and of the source of traces.</summary>
    public const string MeterName = "Chatterbox.Engine";

    private static readonly ActivitySource Traces = new(MeterName);

    private readonly Histogram<double> _wait;
    private readonly Histogram<double> _realTimeFactor;
    private readonly Histogram<double> _tokenRate;
    private readonly Histogram<double> _lateness;
    private readonly Counter<long> _chunks;
    private readonly Counter<double> _audio;
    private readonly Counter<long> _speechTokens;
    private readonly Counter<long> _textTokens;
    private readonly KeyValuePair<string, object?>[] _tags;

    /// <summary>Creates the instruments.</summary>
    /// <param name="meters">Makes the meter.</param>
    /// <param name="model">Name of the engine's model, by which its measurements are told from those of others; null for none.</param>
    public EngineMetrics(IMeterFactory meters, string? model = null)
    {
        _tags = model is null ? [] : [new("model", model)];
        var meter = meters.Create(MeterName);
        _wait = meter.CreateHistogram(
            "chatterbox.queue.wait",
            "s",
            "Time from a request to the beginning of its first piece.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300] });
        _realTimeFactor = meter.CreateHistogram(
            "chatterbox.real_time_factor",
            "1",
            "Time to make a piece, over the length of its audio: under 1 is faster than speech.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 5, 10, 50] });
        _tokenRate = meter.CreateHistogram(
            "chatterbox.speech_token_rate",
            "{token}/s",
            "Speech tokens made a second, all stages together.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [1, 2.5, 5, 10, 25, 50, 75, 100, 150, 200, 300, 500, 1000] });
        _lateness = meter.CreateHistogram(
            "chatterbox.chunk.lateness",
            "s",
            "Time that a listener of a stream had to wait for a chunk behind the first; 0 where it came in time.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10] });
        _chunks = meter.CreateCounter<long>("chatterbox.chunks", "{chunk}", "Chunks of streams made.");
        _audio = meter.CreateCounter<double>("chatterbox.audio", "s", "Audio made.");
        _speechTokens = meter.CreateCounter<long>("chatterbox.speech_tokens", "{token}", "Speech tokens made.");
        _textTokens = meter.CreateCounter<long>("chatterbox.text_tokens", "{token}", "Text tokens spoken.");
    }

    /// <summary>A piece is being made; the trace of the request that asked for it shows how long.</summary>
    internal static Activity? Trace(ActivityContext parent, int piece, int characters) =>
        Traces.StartActivity("synthesize", ActivityKind.Internal, parent)?.SetTag("chatterbox.piece", piece).SetTag("chatterbox.characters", characters);

    /// <summary>A request's turn has come.</summary>
    internal void Began(TimeSpan waited) => _wait.Record(waited.TotalSeconds, _tags);

    /// <summary>A chunk of a stream has been made.</summary>
    /// <param name="left">Time for which the listener still has something to hear; negative where they are waiting, null for the first chunk.</param>
    internal void Chunk(TimeSpan? left)
    {
        _chunks.Add(1, _tags);
        if (left is { } time)
        {
            _lateness.Record(Math.Max(0, -time.TotalSeconds), _tags);
        }
    }

    /// <summary>A piece has been spoken.</summary>
    internal void Spoke(int samples, int textTokens, int speechTokens, TimeSpan taken)
    {
        Made(samples, taken);
        _speechTokens.Add(speechTokens, _tags);
        _textTokens.Add(textTokens, _tags);
        if (taken > TimeSpan.Zero)
        {
            _tokenRate.Record(speechTokens / taken.TotalSeconds, _tags);
        }
    }

    /// <summary>Audio has been made.</summary>
    internal void Made(int samples, TimeSpan taken)
    {
        var seconds = samples / (double)SpeechResult.SampleRate;
        _audio.Add(seconds, _tags);
        if (seconds > 0)
        {
            _realTimeFactor.Record(taken.TotalSeconds / seconds, _tags);
        }
    }
}
