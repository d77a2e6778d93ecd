using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Chatterbox.Engine;

/// <summary>Metrics and traces of an engine's work.</summary>
public sealed class EngineMetrics
{
    /// <summary>Name of the meter and of the source of traces.</summary>
    public const string MeterName = "Chatterbox.Engine";

    private static readonly ActivitySource Traces = new(MeterName);

    private readonly Histogram<double> _wait;
    private readonly Histogram<double> _realTimeFactor;
    private readonly Histogram<double> _tokenRate;
    private readonly Histogram<double> _lateness;
    private readonly Histogram<int> _stepRows;
    private readonly Histogram<double> _stepTime;
    private readonly Histogram<int> _prefills;
    private readonly Histogram<int> _voiceBatch;
    private readonly UpDownCounter<int> _open;
    private readonly Gauge<int> _cacheUsed;
    private readonly Gauge<int> _cacheTotal;
    private readonly Counter<long> _stalls;
    private readonly Counter<long> _chunks;
    private readonly Counter<double> _audio;
    private readonly Counter<long> _speechTokens;
    private readonly Counter<long> _textTokens;
    private readonly Counter<long> _invalidOutputs;
    private readonly KeyValuePair<string, object?>[] _tags;

    /// <summary>Creates the instruments.</summary>
    /// <param name="meters">Makes the meter.</param>
    /// <param name="model">Name of the engine's model, as a tag of its measurements; null for none.</param>
    public EngineMetrics(IMeterFactory meters, string? model = null)
    {
        _tags = model is null ? [] : [new("model", model)];
        var meter = meters.Create(MeterName);
        _wait = meter.CreateHistogram(
            "chatterbox.queue.wait",
            "s",
            "Time from a request to the beginning of its first piece.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300] }
        );
        _realTimeFactor = meter.CreateHistogram(
            "chatterbox.real_time_factor",
            "1",
            "Time to make a piece, over the length of its audio: under 1 is faster than speech.",
            advice: new InstrumentAdvice<double>
            {
                HistogramBucketBoundaries = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 5, 10, 50],
            }
        );
        _tokenRate = meter.CreateHistogram(
            "chatterbox.speech_token_rate",
            "{token}/s",
            "Speech tokens made a second, all stages together.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [1, 2.5, 5, 10, 25, 50, 75, 100, 150, 200, 300, 500, 1000] }
        );
        _lateness = meter.CreateHistogram(
            "chatterbox.chunk.lateness",
            "s",
            "Time for which playback of a stream stalled before a chunk after the first; 0 where the chunk came in time.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10] }
        );
        var sizes = new InstrumentAdvice<int> { HistogramBucketBoundaries = [1, 2, 4, 8, 16, 32, 64, 128, 256] };
        _stepRows = meter.CreateHistogram("chatterbox.step.rows", "{utterance}", "Utterances that a step of T3 advanced.", advice: sizes);
        _stepTime = meter.CreateHistogram(
            "chatterbox.step.duration",
            "s",
            "Time of a step of T3, as the host waits for it.",
            advice: new InstrumentAdvice<double>
            {
                HistogramBucketBoundaries = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1],
            }
        );
        _prefills = meter.CreateHistogram(
            "chatterbox.prefill.batch",
            "{utterance}",
            "Utterances that were opened between two steps.",
            advice: sizes
        );
        _voiceBatch = meter.CreateHistogram("chatterbox.voice.batch", "{chunk}", "Chunks that were voiced together.", advice: sizes);
        _open = meter.CreateUpDownCounter<int>("chatterbox.utterances", "{utterance}", "Utterances that models have open.");
        _cacheUsed = meter.CreateGauge<int>("chatterbox.kv.used", "{block}", "Blocks of T3's keys and values in use, on a GPU.");
        _cacheTotal = meter.CreateGauge<int>(
            "chatterbox.kv.total",
            "{block}",
            "Blocks of T3's keys and values that fit into its memory, on a GPU."
        );
        _stalls = meter.CreateCounter<long>(
            "chatterbox.stream.stalls",
            "{chunk}",
            "Chunks of streams that came after playback had run dry."
        );
        _chunks = meter.CreateCounter<long>("chatterbox.chunks", "{chunk}", "Chunks of streams made.");
        _audio = meter.CreateCounter<double>("chatterbox.audio", "s", "Audio made.");
        _speechTokens = meter.CreateCounter<long>("chatterbox.speech_tokens", "{token}", "Speech tokens made.");
        _textTokens = meter.CreateCounter<long>("chatterbox.text_tokens", "{token}", "Text tokens spoken.");
        _invalidOutputs = meter.CreateCounter<long>(
            "chatterbox.invalid_outputs",
            "{output}",
            "Outputs of a stage that were not finite numbers, by stage and by outcome: recovered with plain operations, or failed."
        );
    }

    /// <summary>A stage of a request has ended; the trace of its caller shows how long it took.</summary>
    /// <param name="sequence">The request.</param>
    /// <param name="stage">queue, prefill, decode, voice, convert or job.</param>
    /// <param name="taken">Its time.</param>
    internal static void Trace(Sequence sequence, string stage, TimeSpan taken)
    {
        if (Traces.HasListeners())
        {
            KeyValuePair<string, object?>[] tags =
            [
                new("chatterbox.piece", sequence.Piece),
                new("chatterbox.characters", sequence.Request.CharactersOf(sequence.Piece)),
            ];
            Traces.StartActivity(stage, ActivityKind.Internal, sequence.Trace, tags, links: null, DateTimeOffset.UtcNow - taken)?.Dispose();
        }
    }

    /// <summary>T3 has made a step.</summary>
    internal void Stepped(int rows, TimeSpan taken)
    {
        _stepRows.Record(rows, _tags);
        _stepTime.Record(taken.TotalSeconds, _tags);
    }

    /// <summary>T3's memory is in use.</summary>
    internal void CacheUsed(CacheUse cache)
    {
        if (cache.Total > 0)
        {
            _cacheUsed.Record(cache.Used, _tags);
            _cacheTotal.Record(cache.Total, _tags);
        }
    }

    /// <summary>Utterances are opened between two steps.</summary>
    internal void Prefilled(int count) => _prefills.Record(count, _tags);

    /// <summary>An utterance has been opened, or closed.</summary>
    internal void OpenChanged(int by) => _open.Add(by, _tags);

    /// <summary>Chunks are being voiced together.</summary>
    internal void Voicing(int count) => _voiceBatch.Record(count, _tags);

    /// <summary>A model begins with a request.</summary>
    internal void Began(TimeSpan waited) => _wait.Record(waited.TotalSeconds, _tags);

    /// <summary>A chunk of a stream has been made.</summary>
    /// <param name="left">Time until the listener has played all; negative where playback has stalled, null for the first chunk.</param>
    internal void Chunk(TimeSpan? left)
    {
        _chunks.Add(1, _tags);
        if (left is { } time)
        {
            _lateness.Record(Math.Max(0, -time.TotalSeconds), _tags);
            _stalls.Add(time < TimeSpan.Zero ? 1 : 0, _tags);
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

    /// <summary>A stage's output was not finite.</summary>
    /// <param name="stage">The stage.</param>
    /// <param name="recovered">Whether plain operations gave a valid one.</param>
    internal void Invalid(SynthesisStage stage, bool recovered) =>
        _invalidOutputs.Add(1, [.. _tags, new("stage", stage.ToString()), new("outcome", recovered ? "recovered" : "failed")]);

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
