using Chatterbox.Engine;
using CsCheck;

namespace Chatterbox.Tests.Engine;

/// <summary>The scheduler by simulation: requests that come, are begun, stepped, voiced and leave, on a clock of the test's.</summary>
public sealed class SchedulerTests
{
    private static readonly WorkerLimits Single = new(StepWidth: 1, VoiceWidth: 1, MaxOpen: 8, Overlaps: false);

    [Fact]
    public void Clients_take_turns_and_a_clients_requests_follow_each_other()
    {
        var world = new World(Single);
        world.Add("a", chunks: 2, tokens: 1);
        world.Add("a", chunks: 1, tokens: 1);
        world.Add("b", chunks: 1, tokens: 1);
        world.Run();
        Assert.Equal([0, 2, 0, 1], world.Voiced.Select(request => request.Number));
    }

    [Fact]
    public void A_model_that_steps_one_at_a_time_makes_chunks_one_by_one()
    {
        var world = new World(Single);
        var (first, second) = (world.Add("a", chunks: 1, tokens: 20), world.Add("b", chunks: 1, tokens: 20));
        world.Run();
        Assert.True(first.Ended < second.FirstStep);
    }

    [Fact]
    public void A_model_that_steps_many_together_admits_them_all_and_steps_them_in_company()
    {
        var world = new World(Single with { StepWidth = 8 });
        var requests = Enumerable.Range(0, 8).Select(i => world.Add($"client {i}", chunks: 1, tokens: 20)).ToList();
        world.Run();
        Assert.All(requests, request => Assert.Equal(requests[0].FirstStep, request.FirstStep));
    }

    [Fact]
    public void A_stream_that_would_run_dry_goes_before_everything_else()
    {
        var world = new World(Single with { StepWidth = 4, Overlaps = true }) { StepTime = 0.05, VoiceTime = 0.2 };
        var stream = world.Add("stream", chunks: 10, tokens: 4, audio: 1.6);
        for (var i = 0; i < 40; i++)
        {
            world.Add($"file {i}", chunks: 1, tokens: 10);
        }

        world.Run();
        Assert.Equal(0, stream.Stalled, 6);
    }

    [Fact]
    public void First_chunks_go_before_later_ones_that_have_time()
    {
        var world = new World(Single with { StepWidth = 8, Overlaps = true }) { StepTime = 0.01, VoiceTime = 0.1 };
        var early = world.Add("early", chunks: 5, tokens: 5, audio: 20);
        world.RunUntil(() => early.Chunk == 1);
        var late = world.Add("late", chunks: 5, tokens: 5, audio: 20);
        world.Run();
        var order = world.Voiced.ToList();
        Assert.InRange(order.IndexOf(late), 1, 2); // after what was in hand when it came
    }

    [Fact]
    public void T3_pauses_while_first_audio_is_made_unless_others_wait_for_theirs()
    {
        var world = new World(Single with { StepWidth = 8, Overlaps = true }) { StepTime = 0.01, VoiceTime = 1 };
        var alone = world.Add("a", chunks: 3, tokens: 5, audio: 20);
        world.RunUntil(() => alone.IsInHand);
        Assert.Equal(5, alone.Tokens);
        world.Advance(0.5);
        Assert.Equal(5, alone.Tokens);
        world.Add("b", chunks: 1, tokens: 5);
        world.Advance(0.2);
        Assert.True(world.Requests[1].Tokens > 0);
    }

    [Fact]
    public void One_who_leaves_is_out_before_the_next_step()
    {
        var world = new World(Single with { StepWidth = 4 });
        var requests = Enumerable.Range(0, 4).Select(i => world.Add("a", chunks: 1, tokens: 100)).ToList();
        world.RunUntil(() => requests[0].Tokens > 10);
        requests[2].HasLeft = true;
        var tokens = requests[2].Tokens;
        world.Run();
        Assert.Equal(tokens, requests[2].Tokens);
        Assert.All(requests.Where(request => request != requests[2]), request => Assert.Equal(100, request.Tokens));
    }

    [Fact]
    public void No_more_than_fit_are_open_and_others_wait_and_do_not_fail()
    {
        var world = new World(Single with { StepWidth = 8, MaxOpen = 3 });
        for (var i = 0; i < 10; i++)
        {
            world.Add($"{i}", chunks: 2, tokens: 3);
        }

        world.Run();
        Assert.InRange(world.MostOpen, 1, 3);
        Assert.All(world.Requests, request => Assert.Equal(2, request.Chunk));
    }

    [Fact]
    public void Work_that_a_worker_has_begun_is_left_to_it()
    {
        var scheduler = new Scheduler<string>();
        scheduler.Add("a", "begun elsewhere");
        var elsewhere = new object();
        var plan = scheduler.Next(new object(), Single, _ => new(Stage.Due, elsewhere, IsOpen: true, CanStep: false, null, TimeSpan.Zero));
        Assert.True(plan.IsEmpty);
    }

    [Fact]
    public void Every_request_ends_no_client_starves_and_limits_hold() =>
        Gen.Select(
                Gen.Select(Gen.Int[0, 4], Gen.Int[1, 4], Gen.Int[1, 12], Gen.Double[0, 3], Gen.Int[0, 9]).List[1, 40],
                Gen.Int[1, 16],
                Gen.Int[1, 4],
                Gen.Int[1, 12],
                Gen.Bool
            )
            .Sample(
                (requests, stepWidth, voiceWidth, maxOpen, overlaps) =>
                {
                    var world = new World(new(stepWidth, voiceWidth, maxOpen, overlaps)) { StepTime = 0.02, VoiceTime = 0.07 };
                    foreach (var (client, chunks, tokens, audio, leaving) in requests)
                    {
                        world.Add($"client {client}", chunks, tokens, audio > 1 ? audio : null).LeavesAfter =
                            leaving == 0 ? 3 : int.MaxValue;
                        world.Advance(0.01);
                    }

                    world.Run();
                    Assert.True(world.MostOpen <= maxOpen);
                    Assert.True(world.MostRows <= stepWidth);
                    Assert.True(world.MostDue <= voiceWidth);
                    Assert.All(world.Requests, request => Assert.True(request.HasLeft || request.Chunk == request.Chunks));

                    // Nobody waits longer than it takes to do all there is one by one.
                    Assert.All(world.Requests, request => Assert.True(request.Ended <= world.WorkInAll));
                }
            );

    [Fact]
    public void No_client_waits_for_more_than_a_turn_of_each_other() =>
        Gen.Select(Gen.Int[0, 4], Gen.Int[1, 6])
            .List[1, 30]
            .Sample(requests =>
            {
                var world = new World(Single with { MaxOpen = 100 });
                foreach (var (client, chunks) in requests)
                {
                    world.Add($"client {client}", chunks, tokens: 1);
                }

                world.Run();
                foreach (var client in world.Requests.GroupBy(request => request.Client))
                {
                    // In the order they came, and between two turns of a client each other client has one turn at most.
                    Assert.Equal(
                        client.Select(request => request.Number),
                        world.Voiced.Where(request => request.Client == client.Key).Select(request => request.Number).Distinct()
                    );
                    var at = world.Voiced.Index().Where(turn => turn.Item.Client == client.Key).Select(turn => turn.Index).ToList();
                    foreach (var (from, to) in at.Zip(at.Skip(1)))
                    {
                        var between = world.Voiced.Take(to).Skip(from + 1).Select(request => request.Client).ToList();
                        Assert.Equal(between.Distinct().Count(), between.Count);
                    }
                }
            });

    /// <summary>A worker, its requests and a clock. Steps and voicing take their time; where they overlap, at the same time.</summary>
    private sealed class World(WorkerLimits limits)
    {
        private const int MostPlans = 100_000;

        private readonly Scheduler<Simulated> _scheduler = new();
        private readonly List<Simulated> _inHand = [];
        private double _inHandUntil;

        public double StepTime { get; init; } = 1;

        public double VoiceTime { get; init; } = 1;

        public double Now { get; private set; }

        public List<Simulated> Requests { get; } = [];

        public List<Simulated> Voiced { get; } = [];

        public int MostOpen { get; private set; }

        public int MostRows { get; private set; }

        public int MostDue { get; private set; }

        /// <summary>Time to do everything one by one, from the last arrival.</summary>
        public double WorkInAll =>
            0.01 * Requests.Count + Requests.Sum(request => request.Chunks * ((request.TokensPerChunk * StepTime) + VoiceTime)) + 1e-6;

        public Simulated Add(string client, int chunks, int tokens, double? audio = null)
        {
            var request = new Simulated(client, Requests.Count, chunks, tokens, audio);
            Requests.Add(request);
            _scheduler.Add(client, request);
            return request;
        }

        public void Run() => RunUntil(() => _scheduler.Count == 0);

        public void Advance(double seconds)
        {
            var until = Now + seconds;
            RunUntil(() => Now >= until || _scheduler.Count == 0);
            Now = Math.Max(Now, until);
        }

        public void RunUntil(Func<bool> isOver)
        {
            for (var plans = 0; !isOver(); plans++)
            {
                Assert.True(plans < MostPlans, "the simulation does not end");
                Finish();
                if (isOver())
                {
                    return;
                }

                var plan = _scheduler.Next(this, limits, request => request.Standing(Now, this));
                plan.Ended.ForEach(End);
                if (plan.Rows.Count == 0 && plan.Due.Count == 0)
                {
                    if (plan.Ended.Count == 0)
                    {
                        Assert.NotEmpty(_inHand); // or nothing would ever happen again
                        Now = _inHandUntil;
                    }

                    continue;
                }

                plan.Admitted.ForEach(request => request.IsOpen = true);
                MostOpen = Math.Max(MostOpen, Requests.Count(request => request.IsOpen));
                MostRows = Math.Max(MostRows, plan.Rows.Count);
                MostDue = Math.Max(MostDue, plan.Due.Count);
                plan.Due.ForEach(request => request.IsInHand = true);
                _inHand.AddRange(plan.Due);
                if (plan.Due.Count > 0)
                {
                    _inHandUntil = Now + VoiceTime;
                }

                if (plan.Rows.Count > 0)
                {
                    Now += StepTime;
                    plan.Rows.ForEach(request => request.Step(Now));
                }

                if (!limits.Overlaps && _inHand.Count > 0)
                {
                    Now = _inHandUntil;
                }
            }

            Finish();
        }

        private void Finish()
        {
            if (_inHand.Count == 0 || Now < _inHandUntil)
            {
                return;
            }

            foreach (var request in _inHand)
            {
                Voiced.Add(request);
                request.IsInHand = false;
                request.TakeChunk(_inHandUntil);
                _scheduler.EndTurn(request, TimeSpan.FromSeconds(VoiceTime));
                if (request.Chunk == request.Chunks)
                {
                    End(request);
                }
            }

            _inHand.Clear();
        }

        private void End(Simulated request)
        {
            request.IsOpen = false;
            request.Ended = Now;
            Assert.True(_scheduler.Remove(request));
        }
    }

    private sealed class Simulated(string client, int number, int chunks, int tokensPerChunk, double? audio)
    {
        private double? _playedAll;

        public string Client => client;

        public int Number => number;

        public int Chunks => chunks;

        public int TokensPerChunk => tokensPerChunk;

        public int Tokens { get; private set; }

        public int Chunk { get; private set; }

        public bool IsOpen { get; set; }

        public bool IsInHand { get; set; }

        public bool HasLeft { get; set; }

        public int LeavesAfter { get; set; } = int.MaxValue;

        public double FirstStep { get; private set; } = double.NaN;

        public double Ended { get; set; } = double.NaN;

        public double Stalled { get; private set; }

        private bool CanStep => Tokens < chunks * tokensPerChunk;

        public Standing Standing(double now, object worker) =>
            new(
                IsInHand ? Stage.InHand
                    : HasLeft ? Stage.Ended
                    : !IsOpen ? Stage.Begin
                    : Tokens >= (Chunk + 1) * tokensPerChunk ? Stage.Due
                    : Stage.Steps,
                IsOpen ? worker : null,
                IsOpen,
                IsOpen && CanStep,
                _playedAll is { } end ? TimeSpan.FromSeconds(end - now) : null,
                TimeSpan.FromSeconds(0.1)
            );

        public void Step(double now)
        {
            Assert.True(CanStep);
            FirstStep = double.IsNaN(FirstStep) ? now : FirstStep;
            Tokens++;
            HasLeft |= Tokens == LeavesAfter;
        }

        public void TakeChunk(double now)
        {
            Chunk++;
            if (audio is { } seconds)
            {
                Stalled += Math.Max(0, now - (_playedAll ?? now));
                _playedAll = Math.Max(_playedAll ?? now, now) + seconds;
            }
        }
    }
}
