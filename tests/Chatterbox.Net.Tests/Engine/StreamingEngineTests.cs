using Chatterbox.Audio;
using Chatterbox.Engine;
using Chatterbox.Tests.Models;
using Microsoft.Extensions.Logging.Abstractions;

namespace Chatterbox.Tests.Engine;

/// <summary>Chunks through the engine: whose turn it is, what a listener gets, and how it ends.</summary>
public sealed class StreamingEngineTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Chunks_are_those_of_the_model_and_the_last_tells_the_tokens()
    {
        const string Text = "The quick brown fox jumps over the lazy dog.";
        using var model = ChatterboxModel.Load(TinyCheckpoint.Folder, new ModelOptions { Device = "cpu" });
        using var stream = model.OpenStream(Text, model.BuiltInVoice!, new() { Seed = 4 }, new() { FirstTokens = 4 });
        var expected = new List<float[]>();
        while (!stream.IsOver)
        {
            expected.Add(stream.NextChunk(Cancel).ToArray());
        }

        await using var engine = new SpeechEngine(
            [() => ChatterboxModel.Load(TinyCheckpoint.Folder, new ModelOptions { Device = "cpu" })],
            new EngineOptions { GuardQuality = false },
            NullLogger<SpeechEngine>.Instance
        );
        var chunks = await engine
            .StreamAsync(
                new()
                {
                    Pieces = [Text],
                    Sampling = new() { Seed = 4 },
                    Chunks = new() { FirstTokens = 4 },
                },
                Cancel
            )
            .ToListAsync(Cancel);

        Assert.Equal(expected, chunks.Select(chunk => chunk.Samples.ToArray()));
        Assert.Equal(Enumerable.Repeat(false, chunks.Count - 1).Append(true), chunks.Select(chunk => chunk.EndsPiece));
        Assert.All(chunks.SkipLast(1), chunk => Assert.Equal((0, 0), (chunk.TextTokens, chunk.SpeechTokens)));
        Assert.Equal((stream.TextTokens, stream.SpeechTokens.Count), (chunks[^1].TextTokens, chunks[^1].SpeechTokens));
    }

    [Fact]
    public async Task Pieces_follow_each_other_with_their_own_seeds()
    {
        await using var engine = Engine(new ChunkModel { Free = true });
        var chunks = await engine
            .StreamAsync(
                new()
                {
                    Pieces = ["ab", "c"],
                    Sampling = new() { Seed = 7 },
                },
                Cancel
            )
            .ToListAsync(Cancel);
        Assert.Equal(
            [(0, 'a', 7f, false), (0, 'b', 7f, true), (1, 'c', 8f, true)],
            chunks.Select(c => (c.Piece, (char)c.Samples.Span[0], c.Samples.Span[1], c.EndsPiece))
        );
    }

    [Fact]
    public async Task A_listener_who_comes_later_is_served_before_those_who_have_time_enough()
    {
        var model = new ChunkModel { Seconds = 10 };
        await using var engine = Engine(model);
        var first = engine.StreamAsync(new() { Pieces = ["abcd"], Client = "1" }, Cancel).ToListAsync(Cancel);
        await model.Asked.Arrives();
        var second = engine.StreamAsync(new() { Pieces = ["xyz"], Client = "2" }, Cancel).ToListAsync(Cancel);
        model.Allow(7);
        await Task.WhenAll(first.AsTask(), second.AsTask());
        Assert.Equal("axbyczd", model.Made);
    }

    [Fact]
    public async Task A_listener_who_would_have_to_wait_is_served_first()
    {
        var (time, model) = (new HandClock(), new ChunkModel { Seconds = 0.7 });
        model.OnChunk = () => time.Advance(TimeSpan.FromSeconds(0.4));
        await using var engine = Engine(model, time: time);
        var first = engine.StreamAsync(new() { Pieces = ["abc"], Client = "1" }, Cancel).ToListAsync(Cancel);
        await model.Asked.Arrives();
        var others = new[] { "x", "y", "z" }
            .Select(text => engine.StreamAsync(new() { Pieces = [text], Client = text }, Cancel).ToListAsync(Cancel).AsTask())
            .ToList();
        model.Allow(6);
        await Task.WhenAll([first.AsTask(), .. others]);

        // A chunk is heard in less than two turns: after another's turn it would be too late.
        Assert.Equal("ab", model.Made[..2]);
    }

    [Fact]
    public async Task A_short_first_chunk_is_followed_by_its_second_where_others_have_long_last_turns()
    {
        var (time, model, turns) = (new HandClock(), new ChunkModel { Seconds = 0.16 }, 0);
        model.OnChunk = () => time.Advance(TimeSpan.FromSeconds(turns++ % 2 == 0 ? 0.02 : 0.08));
        await using var engine = Engine(model, time: time);
        model.Allow(2);
        await engine.StreamAsync(new() { Pieces = ["ab"], Client = "1" }, Cancel).ToListAsync(Cancel);
        var others = new[] { "cd", "ef" }
            .Select(text => engine.StreamAsync(new() { Pieces = [text], Client = text }, Cancel).ToListAsync(Cancel).AsTask())
            .ToList();
        model.Allow(4);
        await Task.WhenAll(others);
        Assert.Equal("abcdef", model.Made);
    }

    [Fact]
    public async Task Streams_that_are_late_as_it_is_take_turns()
    {
        var (time, model) = (new HandClock(), new ChunkModel { Seconds = 0.1 });
        model.OnChunk = () => time.Advance(TimeSpan.FromSeconds(5));
        await using var engine = Engine(model, time: time);
        var first = engine.StreamAsync(new() { Pieces = ["abc"], Client = "1" }, Cancel).ToListAsync(Cancel);
        await model.Asked.Arrives();
        var second = engine.StreamAsync(new() { Pieces = ["xyz"], Client = "2" }, Cancel).ToListAsync(Cancel);
        model.Allow(6);
        await Task.WhenAll(first.AsTask(), second.AsTask());
        Assert.Equal("axbycz", model.Made);
    }

    [Fact]
    public async Task A_model_speaks_so_many_pieces_at_once_and_others_wait_for_one_to_end()
    {
        var model = new ChunkModel { Seconds = 100 };
        await using var engine = Engine(model, options: new EngineOptions { MaxStreams = 2 });
        var first = engine.StreamAsync(new() { Pieces = ["abc"], Client = "1" }, Cancel).ToListAsync(Cancel);
        await model.Asked.Arrives();
        var others = new[] { "uvw", "xyz" }
            .Select(text => engine.StreamAsync(new() { Pieces = [text], Client = text }, Cancel).ToListAsync(Cancel).AsTask())
            .ToList();
        model.Allow(9);
        await Task.WhenAll([first.AsTask(), .. others]);
        Assert.Equal("aubvcxywz", model.Made);
    }

    [Fact]
    public async Task Requests_wait_while_the_model_has_no_room_and_fail_only_if_it_never_has()
    {
        var model = new ChunkModel
        {
            Seconds = 100,
            Free = true,
            Room = 1,
        };
        await using var engine = Engine(model);
        var streams = new[] { "ab", "cd", "ef" }
            .Select(text => engine.StreamAsync(new() { Pieces = [text], Client = text }, Cancel).ToListAsync(Cancel).AsTask())
            .ToList();
        Assert.All(await Task.WhenAll(streams), chunks => Assert.Equal(2, chunks.Count));
        model.Room = 0;
        await Assert.ThrowsAsync<UnavailableException>(async () =>
            await engine.StreamAsync(new() { Pieces = ["gh"] }, Cancel).ToListAsync(Cancel)
        );
    }

    [Theory, InlineData(0), InlineData(1), InlineData(2), InlineData(3)]
    public async Task A_listener_who_leaves_between_any_two_chunks_ends_the_stream_on_the_models_thread(int heard)
    {
        var model = new ChunkModel();
        await using var engine = Engine(model);
        using var leaving = CancellationTokenSource.CreateLinkedTokenSource(Cancel);
        var job = engine.Submit(new SpeechRequest { Pieces = ["abcd"], Chunks = new() }, leaving.Token);
        await using var events = job.Events.GetAsyncEnumerator(Cancel);
        for (var i = 0; i < heard; i++)
        {
            model.Allow(1);
            Assert.True(await events.MoveNextAsync());
        }

        for (var i = 0; i <= heard; i++)
        {
            await model.Asked.Arrives();
        }

        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await events.MoveNextAsync());
        await model.Closed.Arrives();
        Assert.True(model.ClosedOnItsThread);
        model.Allow(1);
        Assert.Equal(
            "x",
            string.Concat(
                (await engine.StreamAsync(new() { Pieces = ["x"] }, Cancel).ToListAsync(Cancel)).Select(c => (char)c.Samples.Span[0])
            )
        );
    }

    [Fact]
    public async Task One_who_leaves_while_others_are_served_is_told_at_once_and_their_stream_ends()
    {
        var model = new ChunkModel { Seconds = 100 };
        await using var engine = Engine(model);
        using var leaving = new CancellationTokenSource();
        var job = engine.Submit(
            new SpeechRequest
            {
                Pieces = ["ab"],
                Chunks = new(),
                Client = "1",
            },
            leaving.Token
        );
        await using var events = job.Events.GetAsyncEnumerator(Cancel);
        await model.Asked.Arrives();
        var other = engine.StreamAsync(new() { Pieces = ["xy"], Client = "2" }, Cancel).ToListAsync(Cancel);
        model.Allow(1);
        Assert.True(await events.MoveNextAsync());
        await model.Asked.Arrives(); // the other's first chunk
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await events.MoveNextAsync());
        model.Allow(2);
        Assert.Equal(2, (await other).Count);
        await model.Closed.Arrives();
        Assert.True(model.ClosedOnItsThread);
        Assert.Equal("axy", model.Made);
    }

    [Fact]
    public async Task Leaving_the_enumeration_ends_the_stream()
    {
        var model = new ChunkModel();
        await using var engine = Engine(model);
        model.Allow(1);
        await foreach (var chunk in engine.StreamAsync(new() { Pieces = ["abc"] }, Cancel))
        {
            Assert.Equal('a', (char)chunk.Samples.Span[0]);
            break;
        }

        await model.Closed.Arrives();
    }

    [Fact]
    public async Task A_model_that_cannot_end_what_has_failed_serves_the_others()
    {
        var model = new ChunkModel { Free = true };
        model.OnClose = () =>
        {
            model.OnClose = () => { };
            throw new InvalidOperationException("the GPU is gone");
        };
        await using var engine = Engine(model);
        var events = await engine.Submit(new SpeechRequest { Pieces = ["a!b", "c"], Chunks = new() }, Cancel).Events.ToListAsync(Cancel);
        Assert.Equal([typeof(AudioChunk), typeof(PieceFailed), typeof(AudioChunk)], events.Select(e => e.GetType()));
        Assert.Equal(2, (await engine.StreamAsync(new() { Pieces = ["xy"] }, Cancel).ToListAsync(Cancel)).Count);
    }

    [Fact]
    public async Task A_piece_that_fails_after_some_chunks_does_not_end_the_request()
    {
        var model = new ChunkModel { Free = true };
        await using var engine = Engine(model);
        var events = await engine.Submit(new SpeechRequest { Pieces = ["a!b", "c"], Chunks = new() }, Cancel).Events.ToListAsync(Cancel);
        Assert.Equal([typeof(AudioChunk), typeof(PieceFailed), typeof(AudioChunk)], events.Select(e => e.GetType()));
        await Assert.ThrowsAsync<RequestException>(async () =>
            await engine.StreamAsync(new() { Pieces = ["a!b", "c"] }, Cancel).ToListAsync(Cancel)
        );
    }

    [Fact]
    public async Task The_guard_limits_what_is_made_and_trims_a_silent_end()
    {
        var model = new ChunkModel { Free = true, Seconds = 2 };
        await using var engine = Engine(model);
        var chunks = await engine.StreamAsync(new() { Pieces = ["a_"] }, Cancel).ToListAsync(Cancel);
        Assert.Equal(2 * SpeechResult.SampleRate, chunks[0].Samples.Length);
        Assert.Equal(SpeechResult.SampleRate / 5, chunks[1].Samples.Length);
        Assert.Equal("silent end trimmed", chunks[1].Repair);
        Assert.Equal(62, model.LastSampling!.MaxSpeechTokens);
        Assert.True(model.Chunks[^1].EndsWhenStuck);

        model.Limited = true;
        chunks = await engine.StreamAsync(new() { Pieces = ["ab"] }, Cancel).ToListAsync(Cancel);
        Assert.Equal([null, "more speech than the text needs; cut short"], chunks.Select(chunk => chunk.Repair));
    }

    [Fact]
    public async Task A_piece_that_is_all_in_its_first_chunk_is_spoken_again_if_it_went_wrong()
    {
        var model = new ChunkModel { Free = true, Limited = true };
        await using var engine = Engine(model);
        var chunk = Assert.Single(
            await engine
                .StreamAsync(
                    new()
                    {
                        Pieces = ["a"],
                        Sampling = new() { Seed = 1 },
                    },
                    Cancel
                )
                .ToListAsync(Cancel)
        );
        Assert.Equal("more speech than the text needs; spoken again", chunk.Repair);
        Assert.Equal([1 + 0x5EED], chunk.Samples.ToArray());
    }

    [Fact]
    public async Task A_job_tells_when_it_has_begun_or_will_not()
    {
        var model = new ChunkModel();
        await using var engine = Engine(model);
        using var leaving = new CancellationTokenSource();
        var first = engine.Submit(new SpeechRequest { Pieces = ["a"], Chunks = new() }, Cancel);
        await first.Begun.Arrives();
        var second = engine.Submit(new SpeechRequest { Pieces = ["b"], Chunks = new() }, leaving.Token);
        Assert.False(second.Begun.IsCompleted);
        await leaving.CancelAsync();
        await second.Begun.Arrives();
        model.Allow(1);
    }

    [Fact]
    public async Task Chunks_are_asked_for_alike_whoever_shares_the_model()
    {
        var model = new ChunkModel { Seconds = 100 };
        await using var engine = Engine(model);
        var chunks = new ChunkOptions { MostTokens = 99 };
        var streams = Enumerable
            .Range(1, 3)
            .Select(i =>
                engine
                    .StreamAsync(
                        new()
                        {
                            Pieces = ["ab"],
                            Chunks = chunks,
                            Client = $"{i}",
                        },
                        Cancel
                    )
                    .ToListAsync(Cancel)
                    .AsTask()
            )
            .ToList();
        model.Allow(6);
        await Task.WhenAll(streams);
        Assert.Equal(Enumerable.Repeat(chunks with { EndsWhenStuck = true }, 3), model.Chunks);
    }

    [Fact]
    public async Task Sound_depends_on_the_request_and_its_seed_whoever_shares_the_model()
    {
        await using var engine = new SpeechEngine(
            [() => ChatterboxModel.Load(TinyCheckpoint.Folder, new ModelOptions { Device = "cpu" })],
            new EngineOptions { GuardQuality = false },
            NullLogger<SpeechEngine>.Instance
        );
        var alone = new List<float[][]>();
        for (var seed = 0; seed < 3; seed++)
        {
            alone.Add(await Speak(seed));
        }

        Assert.Equal(alone, await Task.WhenAll(Enumerable.Range(0, 3).Select(Speak)));

        async Task<float[][]> Speak(int seed) =>
            [
                .. (
                    await engine
                        .StreamAsync(
                            new()
                            {
                                Pieces = ["The quick brown fox."],
                                Sampling = new() { Seed = seed },
                                Client = $"{seed}",
                            },
                            Cancel
                        )
                        .ToListAsync(Cancel)
                ).Select(chunk => chunk.Samples.ToArray()),
            ];
    }

    [Fact]
    public async Task A_model_without_chunks_of_its_own_makes_each_piece_one()
    {
        await using var engine = new SpeechEngine(
            [() => new PlainModel()],
            new EngineOptions { GuardQuality = false },
            NullLogger<SpeechEngine>.Instance
        );
        var chunks = await engine
            .StreamAsync(
                new()
                {
                    Pieces = ["one", "two"],
                    Sampling = new() { Seed = 1 },
                },
                Cancel
            )
            .ToListAsync(Cancel);
        Assert.Equal(
            [(0, 1f, true, 5, 2), (1, 2f, true, 5, 2)],
            chunks.Select(c => (c.Piece, c.Samples.Span[0], c.EndsPiece, c.TextTokens, c.SpeechTokens))
        );
    }

    private static SpeechEngine Engine(ChunkModel model, TimeProvider? time = null, EngineOptions? options = null) =>
        new([() => model.OnThread()], options ?? new(), NullLogger<SpeechEngine>.Instance, time);

    /// <summary>Makes a chunk of each letter when <see cref="Allow"/> lets it: the letter, the seed, and silence; of an underscore
    /// silence alone, and of an exclamation mark an error.</summary>
    private sealed class ChunkModel : ISpeechModel
    {
        private readonly SemaphoreSlim _allowed = new(0);
        private Thread? _thread;
        private int _open;

        public bool Free { get; init; }

        public double Seconds { get; init; } = 0.01;

        public bool Limited { get; set; }

        /// <summary>Pieces for which there is room.</summary>
        public int Room { get; set; } = int.MaxValue;

        public Action OnChunk { get; set; } = () => { };

        public Action OnClose { get; set; } = () => { };

        public SemaphoreSlim Asked { get; } = new(0);

        public SemaphoreSlim Closed { get; } = new(0);

        public bool ClosedOnItsThread { get; private set; } = true;

        public string Made { get; private set; } = "";

        public SamplingOptions? LastSampling { get; private set; }

        public List<ChunkOptions> Chunks { get; } = [];

        public Voice? BuiltInVoice { get; } = new(new T3Prompt([], []), new S3GenPrompt([], [], []));

        public ChunkModel OnThread()
        {
            _thread = Thread.CurrentThread;
            return this;
        }

        public void Allow(int chunks) => _allowed.Release(chunks);

        public IUtterance Begin(string text, Voice voice, SamplingOptions sampling, ChunkOptions? chunks, string? language)
        {
            if (chunks is null)
            {
                return FakeUtterance.Whole(_ => new((float[])[sampling.Seed!.Value], 1, [1], ReachedLimit: false));
            }

            if (_open >= Room)
            {
                throw new UnavailableException("no room");
            }

            _open++;
            LastSampling = sampling;
            Chunks.Add(chunks);
            var next = 0;
            return new FakeUtterance(cancellationToken =>
                new(Chunk(text[next++], sampling.Seed!.Value, cancellationToken), IsLast: next == text.Length)
            )
            {
                TextTokens = text.Length,
                Tokens = () => new int[next],
                HasReachedLimit = () => Limited,
                OnClose = Close,
            };
        }

        public void Advance(IReadOnlyList<IUtterance> utterances) => throw new NotSupportedException();

        public void VoiceChunks(IReadOnlyList<DueChunk> due) => FakeUtterance.Voice(due);

        public Voice CreateVoice(AudioClip recording) => throw new NotSupportedException();

        public IVoiceConversion BeginConversion(AudioClip source, Voice target, long? seed) => throw new NotSupportedException();

        public double? DetectWatermark(AudioClip recording) => null;

        public void Dispose() { }

        private float[] Chunk(char letter, long seed, CancellationToken cancellationToken)
        {
            Asked.Release();
            if (!Free)
            {
                Assert.True(_allowed.Wait(Waits.Limit, cancellationToken), "The test has not let the model go on.");
            }

            if (letter == '!')
            {
                throw new RequestException("bad text");
            }

            OnChunk();
            Made += letter;
            var samples = new float[(int)(Seconds * SpeechResult.SampleRate)];
            if (letter != '_')
            {
                (samples[0], samples[1], samples[^1]) = (letter, seed, 1);
            }

            return samples;
        }

        private void Close()
        {
            _open--;
            ClosedOnItsThread &= Thread.CurrentThread == _thread;
            Closed.Release();
            OnClose();
        }
    }

    /// <summary>A clock that is moved by hand; its timers are the system's.</summary>
    private sealed class HandClock : TimeProvider
    {
        private long _now = TimeSpan.TicksPerDay;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public void Advance(TimeSpan by) => _now += by.Ticks;

        public override long GetTimestamp() => _now;
    }

    /// <summary>Speaks whole pieces only.</summary>
    private sealed class PlainModel : ISpeechModel
    {
        public Voice? BuiltInVoice { get; } = new(new T3Prompt([], []), new S3GenPrompt([], [], []));

        public IUtterance Begin(string text, Voice voice, SamplingOptions sampling, ChunkOptions? chunks, string? language) =>
            FakeUtterance.Whole(_ => new((float[])[sampling.Seed!.Value], 5, [1, 2], false));

        public void Advance(IReadOnlyList<IUtterance> utterances) => throw new NotSupportedException();

        public void VoiceChunks(IReadOnlyList<DueChunk> due) => FakeUtterance.Voice(due);

        public Voice CreateVoice(AudioClip recording) => throw new NotSupportedException();

        public IVoiceConversion BeginConversion(AudioClip source, Voice target, long? seed) => throw new NotSupportedException();

        public double? DetectWatermark(AudioClip recording) => null;

        public void Dispose() { }
    }
}
