using System.CommandLine;
using Chatterbox.Service.Commands;
using Chatterbox.Service.Hosting;
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
    /// <summary>Serves until told to stop; or does one thing once: <c>say</c>, <c>convert</c> or <c>detect</c>.</summary>
    /// <returns>0; or 1 if a setting is wrong, with the reason on standard error.</returns>
    public static async Task<int> Main(string[] args)
    {
        if (args is ["say" or "convert" or "detect", ..])
        {
            var commands = new RootCommand("Chatterbox, once and without a server.") { SayCommand.Create(), ConvertCommand.Create(), DetectCommand.Create() };
            return await commands.Parse(args).InvokeAsync();
        }

        try
        {
            await using var app = await BuildAsync(args);
            await app.RunAsync();
            return 0;
        }
        catch (Exception e) when (e is SettingException or ChatterboxException)
        {
            await Console.Error.WriteLineAsync($"The service cannot start. {e.Message}");
            return 1;
        }
    }

    /// <summary>Puts the service together.</summary>
    /// <param name="args">Settings from the command line.</param>
    /// <param name="configure">Last word on settings and parts, for tests.</param>
    internal static async Task<WebApplication> BuildAsync(string[] args, Action<WebApplicationBuilder>? configure = null)
    {
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions
        {
            ApplicationName = "Chatterbox.Service",
            ContentRootPath = AppContext.BaseDirectory,
            Args = ["--hostBuilder:reloadConfigOnChange=false"], // settings are read once, and a system may have no watches on files left to give
        });
        builder.Configuration.AddCommandLine(args, Settings.ShortSwitches);
        configure?.Invoke(builder);
        builder.AddSettings();
        builder.AddTelemetry();
        builder.AddSecurity();
        builder.AddApiDocument();
        await builder.AddModelsAsync();
        builder.AddVoices();
        builder.AddSpeak();
        builder.AddOpenAi();

        var app = builder.Build();
        app.UseErrors();
        app.UseModelHeader();
        app.UseRouting();
        app.UseCors();
        app.UseStaticFiles();
        app.UseSecurity();
        app.UseSessions();
        app.MapHealth();
        app.MapHome();
        app.MapSpeak();
        app.MapOpenAi();
        app.MapSessions();
        app.MapRecordings();
        app.MapApiDocument();
        app.MapTelemetry();
        return app;
    }
}
