using System.Collections.Concurrent;
using System.Diagnostics;
using Chatterbox.Audio;
using Chatterbox.Engine;
using Microsoft.Extensions.Logging.Abstractions;

namespace Chatterbox.Tests.Engine;

/// <summary>The engine over a model that speaks when it is told to: order, limits and endings without any waiting.</summary>
public sealed class SpeechEngineTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public void Options_that_no_engine_can_work_with_are_refused()
    {
        foreach (
            var (options, name) in (ReadOnlySpan<(EngineOptions, string)>)
                [
                    (new() { MaxStreams = -1 }, nameof(EngineOptions.MaxStreams)),
                    (new() { MaxQueuedRequests = -1 }, nameof(EngineOptions.MaxQueuedRequests)),
                    (new() { RequestTimeoutSeconds = 0 }, nameof(EngineOptions.RequestTimeoutSeconds)),
                    (new() { MaxUnreadSeconds = double.NaN }, nameof(EngineOptions.MaxUnreadSeconds)),
                ]
        )
        {
            Assert.Equal(
                name,
                Assert
                    .Throws<ArgumentOutOfRangeException>(() => new SpeechEngine([() => throw new NotSupportedException()], options))
                    .ParamName
            );
        }
    }

    [Fact]
    public async Task Pieces_come_in_order_with_their_own_seeds()
    {
        await using var engine = Engine(new StepModel { Free = true });
        var job = engine.Submit(
            new SpeechRequest
            {
                Pieces = ["one", "two", "three"],
                Sampling = new() { Seed = 7 },
            },
            Cancel
        );
        var chunks = await Collect(job);
        Assert.Equal([0, 1, 2], chunks.Cast<AudioChunk>().Select(c => c.Piece));
        Assert.Equal([7f, 8f, 9f], chunks.Cast<AudioChunk>().Select(c => c.Samples.Span[0]));
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
        await model.Speaking.Arrives();

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
        await model.Speaking.Arrives();
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Collect(job));
        await model.Stopped.Arrives();
    }

    [Fact]
    public async Task A_deadline_ends_the_request_with_an_error()
    {
        var model = new StepModel();
        await using var engine = Engine(model, new EngineOptions { RequestTimeoutSeconds = 0.05 });
        var job = engine.Submit(new SpeechRequest { Pieces = ["one"] }, Cancel);
        Assert.Contains(
            "given up after",
            (await Assert.ThrowsAsync<UnavailableException>(() => Collect(job))).Message,
            StringComparison.Ordinal
        );
    }

    [Fact]
    public async Task Stopping_finishes_what_has_begun_and_refuses_the_rest()
    {
        var model = new StepModel();
        await using var engine = Engine(model);
        var begun = engine.Submit(new SpeechRequest { Pieces = ["one", "two"], Client = "a" }, Cancel);
        await model.Speaking.Arrives();
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
            [() => throw new CheckpointException("no weights")],
            new EngineOptions(),
            NullLogger<SpeechEngine>.Instance
        );
        await Assert.ThrowsAsync<CheckpointException>(() => engine.Ready);
        Assert.Equal(EngineState.Failed, engine.Status.State);
        Assert.Contains(
            "no weights",
            Assert.Throws<UnavailableException>(() => engine.Submit(new SpeechRequest { Pieces = ["x"] }, Cancel)).Message,
            StringComparison.Ordinal
        );
        await Assert.ThrowsAsync<UnavailableException>(() =>
            engine.CreateVoiceAsync(new AudioClip((float[])[0], 24000), cancellationToken: Cancel)
        );
    }

    [Fact]
    public async Task Jobs_run_on_the_models_thread_and_report_their_errors()
    {
        await using var engine = Engine(new StepModel { Free = true });
        await Assert.ThrowsAsync<VoiceException>(() =>
            engine.CreateVoiceAsync(new AudioClip((float[])[0], 24000), cancellationToken: Cancel)
        );
        Assert.Null(await engine.DetectWatermarkAsync(new AudioClip((float[])[0], 24000), cancellationToken: Cancel));
    }

    [Fact]
    public async Task Jobs_take_turns_with_the_speech_of_other_clients()
    {
        var model = new StepModel();
        await using var engine = Engine(model);
        var begun = engine.Submit(new SpeechRequest { Pieces = ["begun"], Client = "a" }, Cancel);
        await model.Speaking.Arrives();
        var checks = Enumerable
            .Range(0, 3)
            .Select(_ => engine.DetectWatermarkAsync(new AudioClip((float[])[0], 24000), "a", Cancel))
            .ToList();
        var speech = engine.Submit(new SpeechRequest { Pieces = ["speech"], Client = "b" }, Cancel);
        Assert.Equal(4, engine.Status.Waiting);
        model.Finish(5);
        await Task.WhenAll(checks);
        Assert.Single(await Collect(begun));
        Assert.Single(await Collect(speech));
        Assert.Equal(["begun", "watermark", "speech", "watermark", "watermark"], model.Turns);
    }

    [Fact]
    public async Task Jobs_are_given_up_and_refused_as_requests_are()
    {
        var model = new StepModel();
        await using var engine = Engine(model, new EngineOptions { MaxQueuedRequests = 2 });
        var begun = engine.Submit(new SpeechRequest { Pieces = ["begun"], Client = "b" }, Cancel);
        await model.Speaking.Arrives();
        using var leaving = new CancellationTokenSource();
        var left = engine.DetectWatermarkAsync(new AudioClip((float[])[0], 24000), "a", leaving.Token);
        var stays = engine.DetectWatermarkAsync(new AudioClip((float[])[0], 24000), "a", Cancel);
        await Assert.ThrowsAsync<EngineBusyException>(() => engine.DetectWatermarkAsync(new AudioClip((float[])[0], 24000), "a", Cancel));
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => left);

        var stopped = engine.StopAsync(Cancel);
        await Assert.ThrowsAsync<UnavailableException>(() => stays);
        model.Finish(1);
        Assert.Single(await Collect(begun));
        await stopped;
        Assert.Equal(["begun"], model.Turns);
    }

    [Fact]
    public async Task One_client_cannot_take_all_places_of_the_queue()
    {
        var model = new StepModel();
        await using var engine = Engine(model, new EngineOptions { MaxQueuedRequests = 8 });
        var begun = engine.Submit(new SpeechRequest { Pieces = ["one"], Client = "greedy" }, Cancel);
        await model.Speaking.Arrives();
        var jobs = new List<SpeechJob> { begun };
        var refusal = Assert.Throws<EngineBusyException>(() =>
        {
            while (jobs.Count < 100)
            {
                jobs.Add(engine.Submit(new SpeechRequest { Pieces = ["one"], Client = "greedy" }, Cancel));
            }
        });
        Assert.Equal(
            "5 of your requests are waiting already; the other 3 places are kept for other clients. Try again later.",
            refusal.Message
        );
        Assert.Equal(5, engine.Status.Waiting);
        jobs.Add(engine.Submit(new SpeechRequest { Pieces = ["one"], Client = "modest" }, Cancel));
        model.Finish(jobs.Count);
        Assert.All(await Task.WhenAll(jobs.Select(Collect)), events => Assert.Single(events));
    }

    [Fact]
    public async Task Speech_pauses_while_its_reader_is_far_behind_and_loses_nothing()
    {
        var model = new StepModel { Free = true };
        // a piece has one sample
        await using var engine = Engine(model, new EngineOptions { MaxUnreadSeconds = 2.0 / SpeechResult.SampleRate });
        var slow = engine.Submit(
            new SpeechRequest
            {
                Pieces = [.. Enumerable.Repeat("slow", 10)],
                Sampling = new() { Seed = 1 },
                Client = "a",
            },
            Cancel
        );
        Assert.Single(await Collect(engine.Submit(new SpeechRequest { Pieces = ["first"], Client = "b" }, Cancel)));
        for (var others = 0; others < 20; others++)
        {
            Assert.Single(await Collect(engine.Submit(new SpeechRequest { Pieces = ["quick"], Client = "b" }, Cancel)));
        }

        Assert.Equal(3, model.Turns.Count(turn => turn == "slow"));
        Assert.Equal(
            Enumerable.Range(1, 10).Select(i => (float)i),
            (await Collect(slow)).Cast<AudioChunk>().Select(chunk => chunk.Samples.Span[0])
        );
    }

    [Fact]
    public async Task Stopping_finishes_speech_whose_reader_is_far_behind()
    {
        var model = new StepModel { Free = true };
        await using var engine = Engine(model, new EngineOptions { MaxUnreadSeconds = 2.0 / SpeechResult.SampleRate });
        var slow = engine.Submit(new SpeechRequest { Pieces = [.. Enumerable.Repeat("slow", 10)], Client = "a" }, Cancel);
        await slow.Begun.WaitAsync(Cancel);
        await engine.StopAsync(Cancel);
        Assert.Equal(10, (await Collect(slow)).Count);
    }

    [Fact]
    public async Task Speech_that_is_given_up_by_a_stop_says_so()
    {
        var model = new StepModel();
        await using var engine = Engine(model);
        var job = engine.Submit(new SpeechRequest { Pieces = ["one"] }, Cancel);
        await model.Speaking.WaitAsync(Cancel);
        await engine.StopAsync(new CancellationToken(canceled: true));
        Assert.Contains("stopping", (await Assert.ThrowsAsync<UnavailableException>(() => Collect(job))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_recording_is_converted_stretch_by_stretch_and_others_have_their_turns_between()
    {
        var model = new StepModel();
        await using var engine = Engine(model);
        var recording = new AudioClip((float[])[1, 2, 3], 16_000);
        var conversion = engine.Submit(
            new ConversionRequest
            {
                Recording = recording,
                Seed = 10,
                Client = "a",
            },
            Cancel
        );
        await model.Speaking.Arrives();
        var speech = engine.Submit(new SpeechRequest { Pieces = ["one"], Client = "b" }, Cancel);
        Assert.Equal(1, speech.Position);
        model.Finish(2);
        Assert.Single(await Collect(speech)); // before the recording's end
        Assert.Equal(new EngineStatus(EngineState.Ready, 0, 1, 64), engine.Status with { ExpectedWait = null });
        model.Finish(2);
        var chunks = (await Collect(conversion)).Cast<AudioChunk>().ToList();
        Assert.Equal(
            [(11, false, 0), (12, false, 0), (13, true, 3)],
            chunks.Select(chunk => ((int)chunk.Samples.ToArray().Single(), chunk.EndsPiece, chunk.SpeechTokens))
        );
        Assert.Same(recording, Assert.Single(model.Disposed));
    }

    [Fact]
    public async Task A_conversion_that_is_left_or_fails_ends_and_frees_what_it_holds()
    {
        var model = new StepModel();
        await using var engine = Engine(model);
        using var leaving = new CancellationTokenSource();
        var left = engine.Submit(new ConversionRequest { Recording = new AudioClip((float[])[1, 2], 16_000) }, leaving.Token);
        await model.Speaking.Arrives();
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Collect(left));
        model.Finish(2);
        var failed = await Collect(engine.Submit(new ConversionRequest { Recording = new AudioClip((float[])[1, -1, 2], 16_000) }, Cancel));
        Assert.IsType<VoiceException>(Assert.IsType<PieceFailed>(failed[^1]).Error);
        Assert.Equal(2, failed.Count);
        await engine.StopAsync(Cancel);
        Assert.Equal(2, model.Disposed.Count);
    }

    [Fact]
    public async Task A_step_that_fails_ends_the_pieces_it_was_for_and_the_engine_goes_on()
    {
        await using var engine = new SpeechEngine(
            [() => new StepwiseModel()],
            new EngineOptions { GuardQuality = false },
            NullLogger<SpeechEngine>.Instance
        );
        for (var i = 0; i < 3; i++)
        {
            var events = await Collect(engine.Submit(new SpeechRequest { Pieces = ["bad", "good"], Client = "a" }, Cancel));
            Assert.Equal(
                "a kernel failed",
                Assert.IsType<ModelFailedException>(Assert.IsType<PieceFailed>(events[0]).Error).InnerException!.Message
            );
            Assert.IsType<AudioChunk>(events[1]);
        }

        var others = await Task.WhenAll(
            Enumerable.Range(0, 20).Select(i => Collect(engine.Submit(new SpeechRequest { Pieces = ["good"], Client = $"{i}" }, Cancel)))
        );
        Assert.All(others, events => Assert.IsType<AudioChunk>(Assert.Single(events)));
    }

    [Fact]
    public async Task A_device_that_has_failed_ends_the_engine_with_the_reason()
    {
        var model = new StepwiseModel { DeviceError = "cuda:0 has failed: restart the program." };
        await using var engine = new SpeechEngine([() => model], new EngineOptions(), NullLogger<SpeechEngine>.Instance);
        Assert.IsType<AudioChunk>(Assert.Single(await Collect(engine.Submit(new SpeechRequest { Pieces = ["good"] }, Cancel))));
        var events = await Collect(engine.Submit(new SpeechRequest { Pieces = ["bad"] }, Cancel));
        Assert.Equal(
            "a kernel failed",
            Assert.IsType<ModelFailedException>(Assert.IsType<PieceFailed>(Assert.Single(events)).Error).InnerException!.Message
        );
        Assert.Equal(EngineState.Failed, engine.Status.State);
        Assert.Equal(
            model.DeviceError,
            Assert.Throws<UnavailableException>(() => engine.Submit(new SpeechRequest { Pieces = ["good"] }, Cancel)).Message
        );
        await engine.StopAsync(Cancel).Arrives();
    }

    [Fact]
    public async Task The_trace_of_a_request_has_a_span_for_each_stage()
    {
        var spans = new ConcurrentQueue<(ActivityTraceId Trace, string Stage)>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == EngineMetrics.MeterName,
            Sample = (ref _) => ActivitySamplingResult.AllData,
            ActivityStopped = span => spans.Enqueue((span.TraceId, span.OperationName)),
        };
        ActivitySource.AddActivityListener(listener);
        using var caller = new Activity("caller").Start();
        await using (var engine = new SpeechEngine([() => new StepwiseModel()], new EngineOptions(), NullLogger<SpeechEngine>.Instance))
        {
            await Collect(engine.Submit(new SpeechRequest { Pieces = ["good"] }, Cancel));
            await engine.DetectWatermarkAsync(new AudioClip((float[])[0], 24000), cancellationToken: Cancel);
        }

        var stages = spans.Where(span => span.Trace == caller.TraceId).Select(span => span.Stage);
        Assert.Equal(["queue", "prefill", "decode", "voice", "queue", "job"], stages);
    }

    [Fact]
    public async Task A_request_that_fits_into_the_batch_need_not_wait()
    {
        var model = new StepModel { StepWidth = 2 };
        await using var engine = Engine(model);
        var measured = engine.Submit(new SpeechRequest { Pieces = ["measured"] }, Cancel);
        Assert.Null(measured.ExpectedWait);
        model.Finish(1);
        await Collect(measured);
        var first = engine.Submit(new SpeechRequest { Pieces = ["one"], Client = "a" }, Cancel);
        var second = engine.Submit(new SpeechRequest { Pieces = ["two"], Client = "b" }, Cancel);
        var third = engine.Submit(new SpeechRequest { Pieces = ["three"], Client = "c" }, Cancel);
        Assert.Equal([TimeSpan.Zero, TimeSpan.Zero], new[] { first.ExpectedWait, second.ExpectedWait }.OfType<TimeSpan>());
        Assert.True(third.ExpectedWait > TimeSpan.Zero);
        Assert.True(engine.Status.ExpectedWait > third.ExpectedWait);
        model.Finish(3);
        await Task.WhenAll(new[] { first, second, third }.Select(Collect));
    }

    [Fact]
    public async Task The_queue_holds_twice_what_the_models_generate_at_once_unless_it_is_set()
    {
        await using var engine = new SpeechEngine(
            [() => new StepwiseModel { MaxUtterances = 40 }, () => new StepwiseModel { MaxUtterances = 60 }],
            new EngineOptions(),
            NullLogger<SpeechEngine>.Instance
        );
        await Waits.Until(() => engine.Status.Capacity == 200);
        await using var limited = new SpeechEngine(
            [() => new StepwiseModel { MaxUtterances = 40 }],
            new EngineOptions { MaxStreams = 10 },
            NullLogger<SpeechEngine>.Instance
        );
        await limited.Ready.Arrives();
        Assert.Equal(64, limited.Status.Capacity);
        await using var set = new SpeechEngine(
            [() => new StepwiseModel { MaxUtterances = 40 }],
            new EngineOptions { MaxQueuedRequests = 3 },
            NullLogger<SpeechEngine>.Instance
        );
        await set.Ready.Arrives();
        Assert.Equal(3, set.Status.Capacity);
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

    /// <summary>Steps up to eight pieces together and voices meanwhile; a step with a bad piece fails.</summary>
    private sealed class StepwiseModel : ISpeechModel
    {
        private readonly HashSet<IUtterance> _bad = [];

        public Voice? BuiltInVoice { get; } = new(new T3Prompt([], []), new S3GenPrompt([], [], []));

        public int MaxUtterances { get; init; } = 8;

        /// <summary>What the check of the device finds; null for nothing.</summary>
        public string? DeviceError { get; init; }

        public int StepWidth => 8;

        public bool VoicesDuringSteps => true;

        public IUtterance Begin(string text, Voice voice, SamplingOptions sampling, ChunkOptions? chunks, string? language)
        {
            var utterance = FakeUtterance.Whole(_ => new((float[])[1], 1, [1], ReachedLimit: false));
            utterance.Steps = 5;
            if (text == "bad")
            {
                _bad.Add(utterance);
            }

            return utterance;
        }

        public void CheckDevice()
        {
            if (DeviceError is not null)
            {
                throw new UnavailableException(DeviceError);
            }
        }

        public void Advance(IReadOnlyList<IUtterance> utterances)
        {
            if (utterances.Any(_bad.Contains))
            {
                throw new InvalidOperationException("a kernel failed");
            }

            foreach (var utterance in utterances.Cast<FakeUtterance>())
            {
                utterance.Steps--;
            }
        }

        public void VoiceChunks(IReadOnlyList<DueChunk> due) => FakeUtterance.Voice(due);

        public Voice CreateVoice(AudioClip recording) => throw new NotSupportedException();

        public IVoiceConversion BeginConversion(AudioClip source, Voice target, long? seed) => throw new NotSupportedException();

        public double? DetectWatermark(AudioClip recording) => null;

        public void Dispose() { }
    }

    /// <summary>Speaks a piece when <see cref="Finish"/> allows one more, or at once if <see cref="Free"/>.</summary>
    private sealed class StepModel : ISpeechModel
    {
        private readonly SemaphoreSlim _allowed = new(0);

        public bool Free { get; init; }

        public bool HasVoice { get; init; } = true;

        public int StepWidth { get; init; } = 1;

        public SemaphoreSlim Speaking { get; } = new(0);

        public SemaphoreSlim Stopped { get; } = new(0);

        public bool IsDisposed { get; private set; }

        public ConcurrentQueue<AudioClip> Disposed { get; } = new();

        /// <summary>What it did, in order.</summary>
        public ConcurrentQueue<string> Turns { get; } = new();

        public Voice? BuiltInVoice => HasVoice ? new Voice(new T3Prompt([], []), new S3GenPrompt([], [], [])) : null;

        public void Finish(int pieces) => _allowed.Release(pieces);

        public IVoiceConversion BeginConversion(AudioClip source, Voice target, long? seed) => new Conversion(this, source, seed!.Value);

        public IUtterance Begin(string text, Voice voice, SamplingOptions sampling, ChunkOptions? chunks, string? language) =>
            FakeUtterance.Whole(cancellationToken => Synthesize(text, sampling, cancellationToken));

        public void Advance(IReadOnlyList<IUtterance> utterances) => throw new NotSupportedException();

        public void VoiceChunks(IReadOnlyList<DueChunk> due) => FakeUtterance.Voice(due);

        public SpeechResult Synthesize(string text, SamplingOptions sampling, CancellationToken cancellationToken)
        {
            Turns.Enqueue(text);
            Speaking.Release();
            try
            {
                if (!Free)
                {
                    Assert.True(_allowed.Wait(Waits.Limit, cancellationToken), "The test has not let the model go on.");
                }

                return text == "bad"
                    ? throw new RequestException("bad text")
                    : new SpeechResult((float[])[sampling.Seed!.Value], 1, [0], false);
            }
            finally
            {
                Stopped.Release();
            }
        }

        public Voice CreateVoice(AudioClip recording) => throw new VoiceException("too short");

        public double? DetectWatermark(AudioClip recording)
        {
            Turns.Enqueue("watermark");
            return null;
        }

        public void Dispose() => IsDisposed = true;

        /// <summary>A stretch for each sample.</summary>
        private sealed class Conversion(StepModel model, AudioClip source, long seed) : IVoiceConversion
        {
            private int _next;

            public IReadOnlyList<int> SpeechTokens => new int[source.Samples.Length];

            public bool IsOver => _next == source.Samples.Length;

            public ReadOnlyMemory<float> ConvertNext(IProgress<SynthesisProgress>? progress, CancellationToken cancellationToken)
            {
                Assert.False(model.IsDisposed);
                var spoken = model.Synthesize("", new SamplingOptions { Seed = seed }, cancellationToken);
                var sample = source.Samples.Span[_next++];
                return sample < 0 ? throw new VoiceException("bad recording") : new[] { sample + spoken.Samples.Span[0] };
            }

            public void Dispose() => model.Disposed.Enqueue(source);
        }
    }
}
