using Chatterbox.Service.Commands;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Jobs;
using Chatterbox.Service.Models;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Recordings;
using Chatterbox.Service.Sessions;
using Chatterbox.Service.Speak;
using Chatterbox.Service.Voices;

namespace Chatterbox.Service;

/// <summary>The service: settings, the models, then one line for each group of routes.</summary>
internal static class Program
{
    /// <summary>Serves until it is stopped, or runs one command.</summary>
    /// <returns>One of <see cref="ExitCodes"/>.</returns>
    public static Task<int> Main(string[] args) => CommandLine.RunAsync(args);

    /// <summary>Reads the settings.</summary>
    /// <param name="settings">Settings that override those of files and environment, by key.</param>
    internal static WebApplicationBuilder CreateBuilder(IEnumerable<KeyValuePair<string, string?>> settings)
    {
        var builder = WebApplication.CreateBuilder(
            new WebApplicationOptions
            {
                ApplicationName = "Chatterbox.Service",
                ContentRootPath = AppContext.BaseDirectory,
                Args = ["--hostBuilder:reloadConfigOnChange=false"], // settings are read once, and a system may be out of file watches
            }
        );
        builder.Configuration.AddInMemoryCollection(settings);
        return builder;
    }

    /// <summary>Puts the service together.</summary>
    /// <param name="settings">Settings that override those of files and environment, by key.</param>
    /// <param name="configure">Last word on settings and parts, for tests.</param>
    internal static async Task<WebApplication> BuildAsync(
        IEnumerable<KeyValuePair<string, string?>> settings,
        Action<WebApplicationBuilder>? configure = null
    )
    {
        var builder = CreateBuilder(settings);
        configure?.Invoke(builder);
        builder.AddSettings();
        builder.AddTelemetry();
        builder.AddSecurity();
        builder.AddApiDocument();
        await builder.AddModelsAsync();
        builder.AddVoices();
        builder.AddSpeak();
        builder.AddOpenAi();
        builder.AddSessions();
        builder.AddJobs();
        builder.AddDialects();

        var app = builder.Build();
        app.UseErrors();
        app.UseModelHeader();
        app.UseRouting();
        app.UseCors();
        app.UseSessions();
        app.UseBrowserGuard();
        app.UseStaticFiles();
        app.UseSecurity();
        app.UseRecordingBodies();
        app.UseJsonCharset();
        app.MapHealth();
        app.MapHome();
        app.MapSpeak();
        app.MapOpenAi();
        app.MapSessions();
        app.MapDialects();
        app.MapRecordings();
        app.MapJobs();
        app.MapApiDocument();
        app.MapTelemetry();
        app.LogStart();
        return app;
    }
}
