using System.Net;
using System.Net.Http.Json;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Chatterbox.Audio;
using Chatterbox.Service.Models;
using Chatterbox.Service.Voices;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Chatterbox.Service.Tests;

/// <summary>The real service on a free port of this machine, with folders of its own, speaking with a <see cref="FakeModel"/>
/// or, where time need not be controlled, with a real one.</summary>
internal sealed class TestService : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly DirectoryInfo _folder;

    private TestService(WebApplication app, DirectoryInfo folder, FakeModel model)
    {
        (_app, _folder, Model) = (app, folder, model);
        Address = new Uri(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single());
        Http = new HttpClient { BaseAddress = Address, Timeout = Waits.Limit };
    }

    public FakeModel Model { get; }

    public Uri Address { get; }

    public HttpClient Http { get; }

    public IServiceProvider Services => _app.Services;

    public ModelFleet Fleet => Services.GetRequiredService<ModelFleet>();

    /// <summary>The folder of everything that tests bring along.</summary>
    public static string Fixtures { get; } = Path.Combine(SourceFolder(), "..", "fixtures");

    public string VoicesFolder => Path.Combine(_folder.FullName, "voices");

    public string AudioFolder => Path.Combine(_folder.FullName, "audio");

    /// <summary>Everything that was logged.</summary>
    public StringBuilder Log { get; private init; } = new();

    /// <summary>Starts it with a <see cref="FakeModel"/>, or with other models.</summary>
    public static Task<TestService> Start(
        Dictionary<string, string?>? settings = null,
        Func<ServedModel, ServedModel>? describe = null,
        Action<WebApplicationBuilder>? configure = null,
        bool waitUntilReady = true,
        IReadOnlyList<ServedModel>? models = null
    )
    {
        var model = new FakeModel();
        return StartWith(
            model,
            settings,
            waitUntilReady,
            builder =>
            {
                var fake = new ServedModel("fake", "cpu", StandIn: false, () => model);
                foreach (var served in models ?? [describe?.Invoke(fake) ?? fake])
                {
                    builder.Services.AddSingleton(served);
                }

                builder.Services.AddSingleton(
                    new VoiceFormats(
                        (path, longest) =>
                            new FileInfo(path).Length <= longest.TotalMilliseconds // a millisecond for each byte
                                ? new AudioClip(new float[new FileInfo(path).Length], 1000)
                                : throw new VoiceException($"{path} is too long."),
                        _ => throw new VoiceException("Not a voice file."),
                        (path, _, _) => File.WriteAllText(path, "")
                    )
                );
                configure?.Invoke(builder);
            }
        );
    }

    /// <summary>Starts it with the model of this name, as <c>--model</c> does.</summary>
    public static Task<TestService> StartReal(string model, Dictionary<string, string?>? settings = null) =>
        StartWith(new FakeModel(), new(settings ?? []) { ["Model"] = model, ["Device"] = "cpu" }, waitUntilReady: true, _ => { });

    private static async Task<TestService> StartWith(
        FakeModel model,
        Dictionary<string, string?>? settings,
        bool waitUntilReady,
        Action<WebApplicationBuilder> configure
    )
    {
        var folder = Directory.CreateTempSubdirectory("chatterbox-service-");
        var log = new StringBuilder();
        var app = await Program.BuildAsync(
            [],
            builder =>
            {
                builder.Configuration.AddInMemoryCollection(
                    new Dictionary<string, string?>
                    {
                        ["Service:Address"] = "127.0.0.1",
                        ["Service:Port"] = "0",
                        ["Service:VoicesFolder"] = Path.Combine(folder.FullName, "voices"),
                        ["Service:AudioFolder"] = Path.Combine(folder.FullName, "audio"),
                        ["Service:ShutdownSeconds"] = "5",
                    }
                );
                builder.Configuration.AddInMemoryCollection(settings ?? []);
                builder.Logging.ClearProviders().AddProvider(new LogKeeper(log));
                configure(builder);
            }
        );
        await app.StartAsync();
        var service = new TestService(app, folder, model) { Log = log };
        if (waitUntilReady)
        {
            await service.Fleet.Ready;
        }

        return service;
    }

    /// <summary>Puts a recording of the fixtures into the folder of voices.</summary>
    public void AddRecording(string fixture, string file) =>
        File.Copy(Path.Combine(Fixtures, "audio", fixture), Path.Combine(VoicesFolder, file));

    /// <summary>Puts a recording of so many milliseconds into the folder of voices.</summary>
    public void AddVoice(string file, int milliseconds = 2000) =>
        File.WriteAllBytes(Path.Combine(VoicesFolder, file), new byte[milliseconds]);

    public Task<HttpResponseMessage> Post(
        string path,
        object body,
        HttpCompletionOption completion = HttpCompletionOption.ResponseContentRead,
        CancellationToken cancellationToken = default
    ) =>
        Http.SendAsync(new HttpRequestMessage(HttpMethod.Post, path) { Content = JsonContent.Create(body) }, completion, cancellationToken);

    /// <summary>Posts text. A service that refuses it by its length answers before it is sent, which would fail once the service
    /// closes.</summary>
    public Task<HttpResponseMessage> PostText(string path, string body, string type = "application/json") =>
        Http.SendAsync(
            new HttpRequestMessage(HttpMethod.Post, path)
            {
                Content = new StringContent(body, Encoding.UTF8, type),
                Headers = { ExpectContinue = true },
            }
        );

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await _app.DisposeAsync();
        _folder.Delete(recursive: true);
    }

    /// <summary>Stops as SIGTERM does.</summary>
    public Task Stop(CancellationToken cancellationToken = default) => _app.StopAsync(cancellationToken);

    /// <summary>The folder of this file.</summary>
    private static string SourceFolder([CallerFilePath] string file = "") => Path.GetDirectoryName(file)!;

    private sealed class LogKeeper(StringBuilder log) : ILoggerProvider, ILogger
    {
        public ILogger CreateLogger(string categoryName) => this;

        public void Dispose() { }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel,
            EventId eventId,
            TState state,
            Exception? exception,
            Func<TState, Exception?, string> formatter
        )
        {
            lock (log)
            {
                log.AppendLine($"{logLevel}: {formatter(state, exception)} {exception}");
            }
        }
    }
}

/// <summary>Short ways to read answers.</summary>
internal static class Answers
{
    public static async Task<JsonElement> Json(this HttpResponseMessage answer) =>
        JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement;

    /// <summary>The data of each event, in order.</summary>
    public static async Task<List<JsonElement>> Events(this HttpResponseMessage answer)
    {
        Assert.Equal("text/event-stream", answer.Content.Headers.ContentType?.ToString());
        var body = await answer.Content.ReadAsStringAsync();
        Assert.EndsWith("\n\n", body);
        return
        [
            .. body.Split("\n\n", StringSplitOptions.RemoveEmptyEntries)
                .Select(block =>
                {
                    Assert.StartsWith("data: ", block);
                    return JsonDocument.Parse(block[6..]).RootElement;
                }),
        ];
    }

    public static string[] Names(this JsonElement element) => [.. element.EnumerateObject().Select(p => p.Name)];

    public static async Task<string> AssertSpeakError(this HttpResponseMessage answer, HttpStatusCode status)
    {
        var text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.StatusCode == status, $"{answer.StatusCode}: {text}");
        var error = JsonDocument.Parse(text).RootElement;
        Assert.Equal(["status", "detail"], error.Names());
        Assert.Equal("error", error.GetProperty("status").GetString());
        return error.GetProperty("detail").GetString()!;
    }

    public static async Task<JsonElement> AssertOpenAiError(
        this HttpResponseMessage answer,
        HttpStatusCode status,
        string? param = null,
        string? code = null
    )
    {
        var text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.StatusCode == status, $"{answer.StatusCode}: {text}");
        var error = JsonDocument.Parse(text).RootElement.GetProperty("error");
        Assert.Equal(["message", "type", "param", "code"], error.Names());
        Assert.Equal(param, error.GetProperty("param").GetString());
        if (code is not null)
        {
            Assert.Equal(code, error.GetProperty("code").GetString());
        }

        Assert.NotEmpty(error.GetProperty("message").GetString()!);
        return error;
    }
}
