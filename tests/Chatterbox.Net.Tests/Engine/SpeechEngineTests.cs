using System.Collections.Concurrent;
using Chatterbox.Audio;
using Chatterbox.Engine;
using Microsoft.Extensions.Logging.Abstractions;

namespace Chatterbox.Tests.Engine;

/// <summary>The engine over a model that speaks when it is told to: order, limits and endings without any waiting.</summary>
public sealed class SpeechEngineTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Pieces_come_in_order_with_their_own_seeds()
    {
        await using var engine = Engine(new StepModel { Free = true });
        var job = engine.Submit(new SpeechRequest { Pieces = ["one", "two", "three"], Sampling = new() { Seed = 7 } }, Cancel);
        var chunks = await Collect(job);
        Assert.Equal([0, 1, 2], chunks.Cast<AudioChunk>().Select(c => c.Piece));
        Assert.Equal([7f, 8f, 9f], chunks.Cast<AudioChunk>().Select(c => c.Samples[0]));
    }

    [Fact]
    public async Task A_piece_that_fails_does_not_end_the_request()
    {
        await using var engine = Engine(new StepModel { Free = true });
        var events = await Collect(engine.Submit(new SpeechRequest { Pieces = ["one", "bad", "three"] }, Cancel));
        Assert.IsType<AudioChunk>(events[0]);
        Assert.Equal("bad text", Assert.IsType<PieceFailed>(events[1]).Error.Message);
        Assert.IsType<AudioChunk>(events[2]);
    }

    [Fact]
    public async Task A_full_queue_refuses_and_a_place_comes_free_when_a_caller_leaves()
    {
        var model = new StepModel();
        await using var engine = Engine(model, new EngineOptions { MaxQueuedRequests = 1 });
        var speaking = engine.Submit(new SpeechRequest { Pieces = ["one"] }, Cancel);
        await model.Speaking.WaitAsync(Cancel);

        using var leaving = new CancellationTokenSource();
        var waiting = engine.Submit(new SpeechRequest { Pieces = ["two"] }, leaving.Token);
        Assert.Equal(1, waiting.Position);
        Assert.Throws<EngineBusyException>(() => engine.Submit(new SpeechRequest { Pieces = ["three"] }, Cancel));

        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Collect(waiting));
        var next = engine.Submit(new SpeechRequest { Pieces = ["four"] }, Cancel);
        model.Finish(2);
        Assert.Single(await Collect(speaking));
        Assert.Single(await Collect(next));
    }

    [Fact]
    public async Task A_caller_who_leaves_stops_the_model()
    {
        var model = new StepModel();
        await using var engine = Engine(model);
        using var leaving = new CancellationTokenSource();
        var job = engine.Submit(new SpeechRequest { Pieces = ["one", "two"] }, leaving.Token);
        await model.Speaking.WaitAsync(Cancel);
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Collect(job));
        await model.Stopped.WaitAsync(Cancel);
    }

    [Fact]
    public async Task A_deadline_ends_the_request_with_an_error()
    {
        var model = new StepModel();
        await using var engine = Engine(model, new EngineOptions { RequestTimeoutSeconds = 0.05 });
        var job = engine.Submit(new SpeechRequest { Pieces = ["one"] }, Cancel);
        Assert.Contains("given up after", (await Assert.ThrowsAsync<UnavailableException>(() => Collect(job))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Stopping_finishes_what_has_begun_and_refuses_the_rest()
    {
        var model = new StepModel();
        await using var engine = Engine(model);
        var begun = engine.Submit(new SpeechRequest { Pieces = ["one", "two"], Client = "a" }, Cancel);
        await model.Speaking.WaitAsync(Cancel);
        var waiting = engine.Submit(new SpeechRequest { Pieces = ["three"], Client = "b" }, Cancel);

        var stopped = engine.StopAsync(Cancel);
        await Assert.ThrowsAsync<UnavailableException>(() => Collect(waiting));
        Assert.Throws<UnavailableException>(() => engine.Submit(new SpeechRequest { Pieces = ["four"] }, Cancel));
        model.Finish(2);
        Assert.Equal(2, (await Collect(begun)).Count);
        await stopped;
        Assert.True(model.IsDisposed);
    }

    [Fact]
    public async Task A_model_that_cannot_be_loaded_refuses_everything_with_the_reason()
    {
        await using var engine = new SpeechEngine(
            [() => throw new CheckpointException("no weights")], new EngineOptions(), NullLogger<SpeechEngine>.Instance);
        await Assert.ThrowsAsync<CheckpointException>(() => engine.Ready);
        Assert.Equal(EngineState.Failed, engine.Status.State);
        Assert.Contains("no weights", Assert.Throws<UnavailableException>(() => engine.Submit(new SpeechRequest { Pieces = ["x"] }, Cancel)).Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<UnavailableException>(() => engine.CreateVoiceAsync(new AudioClip([0], 24000), Cancel));
    }

    [Fact]
    public async Task Errands_run_on_the_models_thread_and_report_their_errors()
    {
        await using var engine = Engine(new StepModel { Free = true });
        await Assert.ThrowsAsync<VoiceException>(() => engine.CreateVoiceAsync(new AudioClip([0], 24000), Cancel));
        Assert.Null(await engine.DetectWatermarkAsync(new AudioClip([0], 24000), Cancel));
    }

    [Fact]
    public async Task A_recording_is_converted_stretch_by_stretch_and_others_have_their_turns_between()
    {
        var model = new StepModel();
        await using var engine = Engine(model);
        var recording = new AudioClip([1, 2, 3], 16_000);
        var conversion = engine.Submit(new ConversionRequest { Recording = recording, Seed = 10, Client = "a" }, Cancel);
        await model.Speaking.WaitAsync(Cancel);
        var speech = engine.Submit(new SpeechRequest { Pieces = ["one"], Client = "b" }, Cancel);
        Assert.Equal(1, speech.Position);
        model.Finish(2);
        Assert.Single(await Collect(speech));                                                  // before the recording's end
        Assert.Equal(new EngineStatus(EngineState.Ready, 0, 1, 64), engine.Status with { ExpectedWait = null });
        model.Finish(2);
        var chunks = (await Collect(conversion)).Cast<AudioChunk>().ToList();
        Assert.Equal([(11, false, 0), (12, false, 0), (13, true, 3)], chunks.Select(chunk => ((int)chunk.Samples.Single(), chunk.EndsPiece, chunk.SpeechTokens)));
        Assert.Same(recording, Assert.Single(model.Disposed));
    }

    [Fact]
    public async Task A_conversion_that_is_left_or_fails_ends_and_frees_what_it_holds()
    {
        var model = new StepModel();
        await using var engine = Engine(model);
        using var leaving = new CancellationTokenSource();
        var left = engine.Submit(new ConversionRequest { Recording = new AudioClip([1, 2], 16_000) }, leaving.Token);
        await model.Speaking.WaitAsync(Cancel);
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Collect(left));
        model.Finish(2);
        var failed = await Collect(engine.Submit(new ConversionRequest { Recording = new AudioClip([1, -1, 2], 16_000) }, Cancel));
        Assert.IsType<VoiceException>(Assert.IsType<PieceFailed>(failed[^1]).Error);
        Assert.Equal(2, failed.Count);
        await engine.StopAsync(Cancel);
        Assert.Equal(2, model.Disposed.Count);
    }

    [Fact]
    public async Task A_request_without_pieces_or_voice_is_refused()
    {
        await using var engine = Engine(new StepModel { Free = true, HasVoice = false });
        Assert.Throws<RequestException>(() => engine.Submit(new SpeechRequest { Pieces = [] }, Cancel));
        var events = await Collect(engine.Submit(new SpeechRequest { Pieces = ["x"] }, Cancel));
        Assert.IsType<VoiceException>(Assert.IsType<PieceFailed>(events.Single()).Error);
    }

    private static SpeechEngine Engine(StepModel model, EngineOptions? options = null) =>
        new([() => model], options ?? new EngineOptions(), NullLogger<SpeechEngine>.Instance);

    private static async Task<List<SpeechEvent>> Collect(SpeechJob job)
    {
        var events = new List<SpeechEvent>();
        await foreach (var e in job.Events)
        {
            events.Add(e);
        }

        return events;
    }

    /// <summary>Speaks a piece when <see cref="Finish"/> allows one more, or at once if <see cref="Free"/>.</summary>
    private sealed class StepModel : ISpeechModel
    {
        private readonly SemaphoreSlim _allowed = new(0);

        public bool Free { get; init; }

        public bool HasVoice { get; init; } = true;

        public SemaphoreSlim Speaking { get; } = new(0);

        public SemaphoreSlim Stopped { get; } = new(0);

        public bool IsDisposed { get; private set; }

        public ConcurrentQueue<AudioClip> Disposed { get; } = new();

        public Voice? BuiltInVoice => HasVoice ? new Voice(new T3Prompt([], []), new S3GenPrompt([], [], [])) : null;

        public void Finish(int pieces) => _allowed.Release(pieces);

        public IVoiceConversion BeginConversion(AudioClip source, Voice target, long? seed) => new Conversion(this, source, seed!.Value);

        public SpeechResult Synthesize(string text, Voice voice, SamplingOptions sampling, string? language, IProgress<SynthesisProgress>? progress, CancellationToken cancel)
        {
            Speaking.Release();
            try
            {
                if (!Free)
                {
                    _allowed.Wait(cancel);
                }

                return text == "bad" ? throw new RequestException("bad text") : new SpeechResult([sampling.Seed!.Value], 1, [0], false);
            }
            finally
            {
                Stopped.Release();
            }
        }

        public Voice CreateVoice(AudioClip recording) => throw new VoiceException("too short");

        public double? DetectWatermark(AudioClip recording) => null;

        public void Dispose() => IsDisposed = true;

        /// <summary>A stretch for each sample.</summary>
        private sealed class Conversion(StepModel model, AudioClip source, long seed) : IVoiceConversion
        {
            private int _next;

            public IReadOnlyList<int> SpeechTokens => new int[source.Samples.Length];

            public bool IsOver => _next == source.Samples.Length;

            public float[] ConvertNext(IProgress<SynthesisProgress>? progress, CancellationToken cancel)
            {
                Assert.False(model.IsDisposed);
                var spoken = model.Synthesize("", null!, new SamplingOptions { Seed = seed }, null, null, cancel);
                return source.Samples[_next] < 0 ? throw new VoiceException("bad recording") : [source.Samples[_next++] + spoken.Samples[0]];
            }

            public void Dispose() => model.Disposed.Enqueue(source);
        }
    }
}
