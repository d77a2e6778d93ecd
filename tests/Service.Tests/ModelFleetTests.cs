using System.Net;
using Chatterbox.Engine;
using Chatterbox.Models;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Chatterbox.Service.Tests;

/// <summary>Several models in one service: chosen by name, loaded when asked for, kept within the memory there is.</summary>
public sealed class ModelFleetTests
{
    private const long GiB = 1L << 30;
    private const string Route = "/v1/audio/speech";

    [Fact]
    public async Task Models_are_listed_and_chosen_by_name()
    {
        var (a, b) = (new Fake("a"), new Fake("b"));
        await using var service = await Start([a, b], new() { ["OpenAi:ModelAliases:tts-1"] = "b" });
        Assert.Equal([("a", "ready", true), ("b", "unloaded", false)], await Listed(service));
        Assert.Equal((1, 0), (a.Loads, b.Loads));

        using var second = await Speak(service, "b");
        Assert.Equal(HttpStatusCode.OK, second.StatusCode);
        Assert.Equal("b", Assert.Single(second.Headers.GetValues("X-Chatterbox-Model")));
        Assert.Equal([("a", "ready", true), ("b", "ready", false)], await Listed(service));
        using var alias = await Speak(service, "tts-1");
        using var speak = await service.Post("/speak", new { text = "By default.", stream = true });
        Assert.Equal(3, (await speak.Events()).Count);
        Assert.Equal("a", Assert.Single(speak.Headers.GetValues("X-Chatterbox-Model")));
        Assert.Equal((1, 2), (a.Model.Calls.Count, b.Model.Calls.Count));
        Assert.Equal((1, 1), (a.Loads, b.Loads));

        using var unknown = await Speak(service, "c");
        var error = await unknown.AssertOpenAiError(HttpStatusCode.NotFound, "model", "model_not_found");
        Assert.Contains("a, b", error.GetProperty("message").GetString());
        var home = await (await service.Http.GetAsync(new Uri("/", UriKind.Relative))).Json();
        Assert.Equal(["a", "b"], home.GetProperty("models").EnumerateArray().Select(m => m.GetString()));
    }

    [Fact]
    public async Task Each_model_has_its_own_parameters_and_languages()
    {
        var (a, b) = (new Fake("a"), new Fake("b"));
        await using var service = await Start([
            a.Served with
            {
                Lacks = ["top_k"],
            },
            b.Served with
            {
                Lacks = ["exaggeration"],
                Languages = ["de", "fr"],
            },
        ]);
        using var refused = await service.Post(
            Route,
            new
            {
                model = "b",
                input = "a",
                voice = "default",
                exaggeration = 1,
            }
        );
        await refused.AssertOpenAiError(HttpStatusCode.BadRequest, "exaggeration", "unsupported_parameter");
        using var spoken = await service.Post(
            Route,
            new
            {
                model = "b",
                input = "a",
                voice = "default",
                response_format = "pcm",
                top_k = 5,
                language = "de",
            }
        );
        Assert.Equal(HttpStatusCode.OK, spoken.StatusCode);
        using var elsewhere = await service.Post(
            Route,
            new
            {
                model = "a",
                input = "a",
                voice = "default",
                language = "de",
            }
        );
        await elsewhere.AssertOpenAiError(HttpStatusCode.BadRequest, "language", "unsupported_parameter");
        var entry = await (await service.Http.GetAsync(new Uri("/v1/models/b", UriKind.Relative))).Json();
        Assert.Equal(["de", "fr"], entry.GetProperty("languages").EnumerateArray().Select(l => l.GetString()));
        Assert.Equal("exaggeration", entry.GetProperty("unsupported_parameters")[0].GetString());
    }

    [Fact]
    public async Task A_recording_becomes_a_voice_of_each_model_that_speaks_with_it()
    {
        var (a, b) = (new Fake("a"), new Fake("b"));
        await using var service = await Start([a, b]);
        service.AddVoice("Ann.wav");
        foreach (var model in (string[])["b", "a", "b"])
        {
            using var answer = await Speak(service, model, voice: "Ann");
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }

        Assert.Equal((1, 1), (a.Model.VoicesMade, b.Model.VoicesMade));
    }

    [Fact]
    public async Task Those_who_ask_while_a_model_is_loaded_wait_for_it()
    {
        var b = new Fake("b") { LoadsSlowly = true };
        await using var service = await Start([new Fake("a"), b]);
        using var leaves = new CancellationTokenSource();
        var asked = Enumerable.Range(0, 3).Select(i => Speak(service, "b", $"Request {i}.")).ToList();
        var left = service.Post(
            Route,
            new
            {
                model = "b",
                input = "I leave.",
                voice = "default",
                response_format = "pcm",
            },
            cancellationToken: leaves.Token
        );
        await Waits.Until(() => service.Fleet.Find("b")!.Status.Waiting == 4);
        Assert.Equal(ModelState.Loading, service.Fleet.Find("b")!.State);
        await leaves.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => left);
        using var ready = await service.Http.GetAsync(new Uri("/health/ready", UriKind.Relative));
        Assert.Equal(HttpStatusCode.OK, ready.StatusCode);
        using var other = await Speak(service, "a");
        Assert.Equal(HttpStatusCode.OK, other.StatusCode);

        b.Loaded.Set();
        Assert.All(await Task.WhenAll(asked), answer => Assert.Equal(HttpStatusCode.OK, answer.StatusCode));
        Assert.Equal((1, 3), (b.Loads, b.Model.Calls.Count));
    }

    [Fact]
    public async Task Until_the_default_model_is_there_the_service_is_starting()
    {
        var a = new Fake("a") { LoadsSlowly = true };
        await using var service = await Start([a, new Fake("b")], waitUntilReady: false);
        using var ready = await service.Http.GetAsync(new Uri("/health/ready", UriKind.Relative));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, ready.StatusCode);
        foreach (var model in (string[])["a", "b"])
        {
            using var early = await Speak(service, model);
            await early.AssertOpenAiError(HttpStatusCode.ServiceUnavailable);
            Assert.NotNull(early.Headers.RetryAfter);
        }

        var waits = service.Post("/speak", new { text = "I wait.", stream = true });
        a.Loaded.Set();
        Assert.Equal(3, (await (await waits).Events()).Count);
        using var answer = await Speak(service, "b");
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
    }

    [Fact]
    public async Task The_idle_model_that_was_not_used_for_longest_makes_room()
    {
        var fakes = new[] { "a", "b", "c" }.Select(name => new Fake(name)).ToList();
        await using var service = await Start([.. fakes], new() { ["Models:MemoryGiB"] = "2" });
        async Task Use(string model, params string[] inMemory)
        {
            using var answer = await Speak(service, model);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            Assert.Equal(inMemory, service.Fleet.All.Where(m => m.State == ModelState.Ready).Select(m => m.Name));
            Assert.Equal(inMemory.Length * GiB, service.Fleet.Memory);
        }

        await Use("b", "a", "b");
        await Use("c", "b", "c");
        await Use("b", "b", "c");
        await Use("a", "a", "b");
        await Use("b", "a", "b");
        Assert.Equal([2, 1, 1], fakes.Select(fake => fake.Loads));
        Assert.Equal([1, 0, 1], fakes.Select(fake => fake.Unloads));
    }

    [Fact]
    public async Task Files_that_models_have_in_common_take_memory_once()
    {
        ServedModel With(string name) => new Fake(name).Served with { Weights = [new("same", GiB), new(name, GiB / 2)] };
        await using var service = await Start([With("a"), With("b"), With("c")], new() { ["Models:MemoryGiB"] = "2" });
        using var second = await Speak(service, "b");
        Assert.Equal(2 * GiB, service.Fleet.Memory);
        using var third = await Speak(service, "c");
        Assert.Equal(2 * GiB, service.Fleet.Memory);
        Assert.Equal(ModelState.Unloaded, service.Fleet.Default.State);
    }

    [Fact]
    public async Task A_model_with_work_in_hand_is_not_unloaded_and_those_who_ask_for_it_later_wait_their_turn()
    {
        var (a, b) = (new Fake("a"), new Fake("b"));
        await using var service = await Start([a, b], new() { ["Models:MemoryGiB"] = "1" });
        var order = new List<string>();
        async Task Ask(string model, string text)
        {
            using var answer = await Speak(service, model, text);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            lock (order)
            {
                order.Add(text);
            }
        }

        a.Model.Holds = true;
        var begun = Ask("a", "Begun.");
        await Waits.Until(() => service.Fleet.Default.Status.Active == 1);
        var queued = Ask("a", "Queued.");
        await Waits.Until(() => service.Fleet.Default.Status.Waiting == 1);
        var other = Ask("b", "Another model.");
        await Waits.Until(() => service.Fleet.Default.State == ModelState.Unloaded); // asked to leave when it is done
        var later = Ask("a", "Later.");
        await Waits.Until(() => service.Fleet.Default.Status.Waiting == 2);
        Assert.Equal((0, 0), (b.Loads, a.Unloads));
        a.Model.LetGo();
        await begun; // answers that end together are heard in any order
        a.Model.LetGo();
        await Task.WhenAll(queued, other, later);
        Assert.Equal(["Begun.", "Queued.", "Another model.", "Later."], order);
        Assert.Equal((2, 1, 1, 1), (a.Loads, b.Loads, a.Unloads, b.Unloads));
    }

    [Fact]
    public async Task A_model_that_nobody_uses_is_unloaded_and_comes_back_for_the_next()
    {
        var (a, b, clock) = (new Fake("a"), new Fake("b"), new Clock());
        await using var service = await Start([a, b], new() { ["Models:UnloadAfterSeconds"] = "3600" }, clock: clock);
        a.Model.Holds = true;
        var held = Speak(service, "a");
        await Waits.Until(() => a.Model.IsWaiting);
        using var other = await Speak(service, "b");
        clock.Ahead += TimeSpan.FromHours(2);
        await Waits.Until(() => service.Fleet.Find("b")!.State == ModelState.Unloaded && b.Unloads == 1);
        Assert.Equal(ModelState.Ready, service.Fleet.Default.State); // longer ago, but it is at work
        a.Model.LetGo();
        Assert.Equal(HttpStatusCode.OK, (await held).StatusCode);
        clock.Ahead += TimeSpan.FromHours(2);
        await Waits.Until(() => a.Unloads == 1 && service.Fleet.Memory == 0);

        async Task<bool> IsLoaded()
        {
            var health = await (await service.Http.GetAsync(new Uri("/health", UriKind.Relative))).Json();
            Assert.Equal("healthy", health.GetProperty("status").GetString());
            using var ready = await service.Http.GetAsync(new Uri("/health/ready", UriKind.Relative));
            Assert.Equal(HttpStatusCode.OK, ready.StatusCode);
            return health.GetProperty("model_loaded").GetBoolean();
        }

        Assert.False(await IsLoaded());
        using var again = await service.Post("/speak", new { text = "Come back.", stream = true });
        Assert.Equal(3, (await again.Events()).Count);
        Assert.Equal(2, a.Loads);
    }

    [Fact]
    public async Task A_model_that_cannot_be_loaded_is_told_and_tried_again_later()
    {
        var clock = new Clock();
        var b = new Fake("b") { Fault = new CheckpointException("t3.safetensors is damaged.") };
        await using var service = await Start([new Fake("a"), b], clock: clock);
        for (var i = 0; i < 3; i++)
        {
            using var answer = await Speak(service, "b");
            var error = await answer.AssertOpenAiError(HttpStatusCode.ServiceUnavailable);
            Assert.Contains("t3.safetensors is damaged", error.GetProperty("message").GetString());
        }

        Assert.Equal(1, b.Loads);
        Assert.Equal(ModelState.Failed, service.Fleet.Find("b")!.State);
        using var ready = await service.Http.GetAsync(new Uri("/health/ready", UriKind.Relative));
        Assert.Equal(HttpStatusCode.OK, ready.StatusCode);
        using var other = await Speak(service, "a");
        Assert.Equal(HttpStatusCode.OK, other.StatusCode);

        b.Fault = null;
        clock.Ahead = TimeSpan.FromSeconds(11);
        using var mended = await Speak(service, "b");
        Assert.Equal(HttpStatusCode.OK, mended.StatusCode);
    }

    [Fact]
    public async Task The_bound_of_waiting_requests_is_for_all_models()
    {
        var (a, b) = (new Fake("a"), new Fake("b"));
        await using var service = await Start([a, b], new() { ["Engine:MaxQueuedRequests"] = "2" });
        a.Model.Holds = true;
        var begun = Speak(service, "a");
        await Waits.Until(() => service.Fleet.Default.Status.Active == 1);
        var waiting = Enumerable.Range(0, 2).Select(_ => Speak(service, "a")).ToList();
        await Waits.Until(() => service.Fleet.Default.Status.Waiting == 2);
        using var refused = await Speak(service, "b");
        await refused.AssertOpenAiError(HttpStatusCode.TooManyRequests, null, "queue_full");
        Assert.NotNull(refused.Headers.RetryAfter);
        Assert.Equal((0, ModelState.Unloaded), (b.Loads, service.Fleet.Find("b")!.State));
        a.Model.LetGo(3);
        Assert.All(await Task.WhenAll([begun, .. waiting]), answer => Assert.Equal(HttpStatusCode.OK, answer.StatusCode));
    }

    [Fact]
    public async Task A_stop_finishes_what_has_begun_at_every_model_and_refuses_the_rest()
    {
        var fakes = new[] { "a", "b", "c" }.Select(name => new Fake(name)).ToList();
        await using var service = await Start([.. fakes], new() { ["Models:MemoryGiB"] = "2", ["Service:ShutdownSeconds"] = "60" });
        using var loads = await Speak(service, "b");
        fakes[0].Model.Holds = fakes[1].Model.Holds = true;
        var begun = new[] { "a", "b" }.Select(model => Speak(service, model)).ToList();
        await Waits.Until(() => service.Fleet.All.Sum(m => m.Status.Active) == 2);
        var waiting = new[] { "a", "c" }.Select(model => Speak(service, model)).ToList(); // c for room
        await Waits.Until(() => service.Fleet.All.Sum(m => m.Status.Waiting) == 2);
        var stopped = service.Stop();
        foreach (var answer in await Task.WhenAll(waiting))
        {
            await answer.AssertOpenAiError(HttpStatusCode.ServiceUnavailable);
        }

        fakes[0].Model.LetGo();
        fakes[1].Model.LetGo();
        Assert.All(await Task.WhenAll(begun), answer => Assert.Equal(HttpStatusCode.OK, answer.StatusCode));
        await stopped;
        Assert.Equal([1, 1, 0], fakes.Select(fake => fake.Unloads));
        lock (service.Log)
        {
            Assert.DoesNotContain("could not be loaded", service.Log.ToString());
        }
    }

    [Fact]
    public async Task Measurements_are_told_apart_by_model()
    {
        await using var service = await Start([new Fake("a"), new Fake("b"), new Fake("c")]);
        using var spoken = await Speak(service, "b");
        var metrics = await (await service.Http.GetAsync(new Uri("/metrics", UriKind.Relative))).Content.ReadAsStringAsync();
        foreach (
            var line in (string[])
                [
                    "chatterbox_model_loaded{otel_scope_name=\"Chatterbox.Service\",model=\"b\"} 1",
                    "chatterbox_model_loaded{otel_scope_name=\"Chatterbox.Service\",model=\"c\"} 0",
                    "chatterbox_models_memory_bytes",
                    "chatterbox_queue_waiting{otel_scope_name=\"Chatterbox.Service\",model=\"a\"} 0",
                    "model=\"b\",outcome=\"spoken\",route=\"/v1/audio/speech\"} 1",
                    "chatterbox_model_load_seconds_count{otel_scope_name=\"Chatterbox.Service\",model=\"a\"} 1",
                    "chatterbox_audio_seconds_total{otel_scope_name=\"Chatterbox.Engine\",model=\"b\"}",
                ]
        )
        {
            Assert.Contains(line, metrics);
        }
    }

    [Theory]
    [InlineData("Models:MemoryGiB", "0.5", "'a' alone take 1.00 GiB")]
    [InlineData("Models:MemoryGiB", "-1", "Models:MemoryGiB")]
    [InlineData("Models:UnloadAfterSeconds", "soon", "UnloadAfterSeconds")]
    [InlineData("Models:Names", "a,b", "Names")]
    public async Task A_wrong_setting_stops_the_start(string key, string value, string told)
    {
        var error = await Assert.ThrowsAsync<SettingException>(() => Start([new Fake("a")], new() { [key] = value }));
        Assert.Contains(told, error.Message);
    }

    [Fact]
    public async Task A_name_names_one_model() =>
        Assert.Contains("called 'a'", (await Assert.ThrowsAsync<SettingException>(() => Start([new Fake("a"), new Fake("a")]))).Message);

    [Theory]
    [InlineData("Model:0", "tiny", "separated by commas")]
    [InlineData("Model", " , ", "names no model")]
    public async Task Models_are_named_in_one_way(string key, string value, string told)
    {
        var error = await Assert.ThrowsAsync<SettingException>(() => TestService.Start(new() { [key] = value }, models: []));
        Assert.Contains(told, error.Message);
    }

    [Fact]
    public async Task Under_load_everybody_is_served_and_memory_is_kept()
    {
        var fakes = new[] { "a", "b", "c", "d" }.Select(name => new Fake(name)).ToList();
        await using var service = await Start(
            [.. fakes],
            new()
            {
                ["Models:MemoryGiB"] = "2",
                ["Models:UnloadAfterSeconds"] = "0.1",
                ["Engine:MaxQueuedRequests"] = "300",
            }
        );
        service.AddVoice("Ann.wav", 1500);
        var random = new Random(1);
        var asked = Enumerable
            .Range(0, 120)
            .Select(i =>
                (
                    Model: fakes[random.Next(4)],
                    Voice: random.Next(3) == 0 ? "Ann" : "default",
                    Leaves: random.Next(6) == 0,
                    Pause: random.Next(1500)
                )
            )
            .ToList();
        await Task.WhenAll(
            asked.Select(async request =>
            {
                await Task.Delay(request.Pause);
                using var leaves = new CancellationTokenSource();
                var answer = service.Post(
                    Route,
                    new
                    {
                        model = request.Model.Served.Name,
                        input = "Hello there.",
                        voice = request.Voice,
                        response_format = "pcm",
                    },
                    cancellationToken: leaves.Token
                );
                if (request.Leaves)
                {
                    await leaves.CancelAsync();
                    await answer.ContinueWith(_ => { }, TaskScheduler.Default);
                    return;
                }

                using var spoken = await answer;
                Assert.Equal(HttpStatusCode.OK, spoken.StatusCode);
                Assert.Equal(request.Model.Served.Name, Assert.Single(spoken.Headers.GetValues("X-Chatterbox-Model")));
            })
        );
        Assert.InRange(Fake.MostAtOnce(fakes), 1, 2);
        await Waits.Until(() => service.Fleet.Memory == 0);
        Assert.All(fakes, fake => Assert.Equal(fake.Loads, fake.Unloads));
    }

    [Fact]
    public async Task The_whole_family_answers_in_one_service()
    {
        var folder = Directory.CreateTempSubdirectory("chatterbox-family-");
        string[] names = ["tiny", "tiny-multilingual", "tiny-turbo", "tiny-nano", "tiny-flash"];
        foreach (var name in names)
        {
            SyntheticCheckpoint.Write(name, Path.Combine(folder.FullName, name));
        }

        await using (
            var service = await TestService.Start(
                new()
                {
                    ["Model"] = string.Join(", ", names.Select(name => Path.Combine(folder.FullName, name))),
                    ["Device"] = "cpu",
                    ["Models:UnloadAfterSeconds"] = "1",
                },
                models: []
            )
        )
        {
            Assert.Equal(names, service.Fleet.All.Select(model => model.Name));
            var answers = await Task.WhenAll(names.Select(name => Speak(service, name)));
            Assert.All(answers, answer => Assert.Equal(HttpStatusCode.OK, answer.StatusCode));
            Assert.Equal(
                5,
                (await Task.WhenAll(answers.Select(answer => answer.Content.ReadAsByteArrayAsync())))
                    .Select(Convert.ToBase64String)
                    .Distinct()
                    .Count()
            );
            using var french = await service.Post(
                Route,
                new
                {
                    model = "tiny-multilingual",
                    input = "Bonjour.",
                    voice = "default",
                    response_format = "pcm",
                    language = "fr",
                }
            );
            Assert.Equal(HttpStatusCode.OK, french.StatusCode);
            await Waits.Until(() => service.Fleet.Memory == 0);
        }

        folder.Delete(recursive: true);
    }

    private static Task<TestService> Start(
        IReadOnlyList<ServedModel> models,
        Dictionary<string, string?>? settings = null,
        bool waitUntilReady = true,
        Clock? clock = null
    ) =>
        TestService.Start(
            settings,
            configure: builder => builder.Services.Replace(ServiceDescriptor.Singleton<TimeProvider>(clock ?? new Clock())),
            waitUntilReady: waitUntilReady,
            models: models
        );

    private static Task<HttpResponseMessage> Speak(
        TestService service,
        string model,
        string input = "Hello there.",
        string voice = "default"
    ) =>
        service.Post(
            Route,
            new
            {
                model,
                input,
                voice,
                response_format = "pcm",
            }
        );

    private static async Task<(string? Id, string? State, bool IsDefault)[]> Listed(TestService service)
    {
        var models = await (await service.Http.GetAsync(new Uri("/v1/models", UriKind.Relative))).Json();
        return
        [
            .. models
                .GetProperty("data")
                .EnumerateArray()
                .Select(m =>
                    (m.GetProperty("id").GetString(), m.GetProperty("state").GetString(), m.GetProperty("is_default").GetBoolean())
                ),
        ];
    }

    /// <summary>A model whose loads and unloads are counted; its weights take one GiB, as is claimed.</summary>
    private sealed class Fake
    {
        private static readonly Lock Gate = new();
        private readonly List<(long Loaded, long Unloaded)> _stays = [];
        private static long _events;

        public Fake(string name) => Served = new ServedModel(name, "cpu", StandIn: false, Load) { Weights = [new WeightMemory(name, GiB)] };

        public ServedModel Served { get; }

        public FakeModel Model { get; private set; } = new();

        public Exception? Fault { get; set; }

        public bool LoadsSlowly { get; init; }

        public ManualResetEventSlim Loaded { get; } = new();

        public int Loads { get; private set; }

        public int Unloads => _stays.Count(stay => stay.Unloaded < long.MaxValue);

        public static implicit operator ServedModel(Fake fake) => fake.Served;

        /// <summary>Most of them that were in memory at one time.</summary>
        public static int MostAtOnce(List<Fake> fakes)
        {
            var stays = fakes.SelectMany(fake => fake._stays).ToList();
            return stays.Max(stay => stays.Count(other => other.Loaded <= stay.Loaded && other.Unloaded > stay.Loaded));
        }

        private ISpeechModel Load()
        {
            Loads++;
            if (LoadsSlowly)
            {
                Assert.True(Loaded.Wait(Waits.Limit), "The other model has not been loaded.");
            }

            if (Fault is { } fault)
            {
                throw fault;
            }

            lock (Gate)
            {
                var stay = _stays.Count;
                _stays.Add((_events++, long.MaxValue));
                return Model = new FakeModel(() =>
                {
                    lock (Gate)
                    {
                        _stays[stay] = (_stays[stay].Loaded, _events++);
                    }
                });
            }
        }
    }
}
