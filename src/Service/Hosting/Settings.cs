using System.ComponentModel.DataAnnotations;
using System.Globalization;
using Chatterbox.Engine;
using Chatterbox.Service.Jobs;
using Chatterbox.Service.Models;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Streaming;
using Chatterbox.Service.Voices;
using Chatterbox.Service.Wyoming;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Hosting;

/// <summary>A setting is wrong: the message names its key.</summary>
internal sealed class SettingException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>Reads the settings, checks each before anything is done, and applies those of the server.</summary>
internal static class Settings
{
    /// <summary>Bytes of a request's first line: GET /speak with 1000 characters of four bytes each, escaped, and room to spare.</summary>
    private const int LongestRequestLine = 32 * 1024;

    /// <summary>What a client reads of its answer at least, bytes a second: what every sound takes more of.</summary>
    private const double LeastBytesPerSecond = 240;

    /// <summary>Time for answers to be ended, once what is spoken is given up.</summary>
    private static readonly TimeSpan EndingTime = TimeSpan.FromSeconds(2);

    /// <summary>Name of the section of the engine's settings.</summary>
    public const string EngineSection = "Engine";

    /// <summary>Registers every group of settings.</summary>
    /// <exception cref="SettingException">One is wrong.</exception>
    public static void AddSettings(this WebApplicationBuilder builder)
    {
        builder.Add<ModelsOptions>(ModelsOptions.Section);
        builder.Add<EngineOptions>(EngineSection);
        builder.Add<StreamingOptions>(StreamingOptions.Section);
        builder.Add<TextSettings>(TextSettings.Section);
        builder.Add<VoiceOptions>(VoiceOptions.Section);
        builder.Add<OpenAiOptions>(OpenAiOptions.Section);
        builder.Add<StrictOptions>(StrictOptions.Section);
        builder.Add<DialectOptions>(DialectOptions.Section);
        builder.Add<WyomingOptions>(WyomingOptions.Section);
        builder.Add<JobOptions>(JobOptions.Section);
        builder.Add<SecurityOptions>(SecurityOptions.Section);
        var service = builder.ReadService();
        builder.Services.AddSingleton(Options.Create(service));
        Apply(service, builder);
    }

    /// <summary>Reads the settings of the service itself and makes sure of its folders.</summary>
    /// <exception cref="SettingException">One is wrong, or a folder cannot be used.</exception>
    public static ServiceOptions ReadService(this WebApplicationBuilder builder)
    {
        var service = builder.ReadValid<ServiceOptions>(ServiceOptions.Section);
        var uploads = builder.Read<VoiceOptions>(VoiceOptions.Section).UploadsEnabled;
        using var logging = builder.StartupLogging();
        var folders = new ServiceFolders(logging.CreateLogger<ServiceFolders>());
        service.VoicesFolder = folders.Find(
            "Service:VoicesFolder",
            service.VoicesFolder,
            new ServiceOptions().VoicesFolder,
            isWritten: uploads
        );
        service.AudioFolder = folders.Find("Service:AudioFolder", service.AudioFolder, new ServiceOptions().AudioFolder, isWritten: true);
        return service;
    }

    /// <summary>Reads one group.</summary>
    public static T Read<T>(this WebApplicationBuilder builder, string section)
        where T : class, new()
    {
        var options = new T();
        try
        {
            builder.Configuration.GetSection(section).Bind(options, binder => binder.ErrorOnUnknownConfiguration = true);
        }
        catch (InvalidOperationException e)
        {
            throw new SettingException($"The settings in '{section}' cannot be used: {e.Message}", e);
        }

        return options;
    }

    private static void Add<T>(this WebApplicationBuilder builder, string section)
        where T : class, new() => builder.Services.AddSingleton(Options.Create(builder.ReadValid<T>(section)));

    /// <summary>Reads one group and checks its values.</summary>
    /// <exception cref="SettingException">One is wrong.</exception>
    public static T ReadValid<T>(this WebApplicationBuilder builder, string section)
        where T : class, new()
    {
        var options = builder.Read<T>(section);
        var wrong = new List<ValidationResult>();
        if (!Validator.TryValidateObject(options, new ValidationContext(options), wrong, validateAllProperties: true))
        {
            throw new SettingException(
                string.Join(' ', wrong.Select(w => $"{string.Join(", ", w.MemberNames.Select(Describe))}. {w.ErrorMessage}"))
            );
        }

        return options;

        string Describe(string member) =>
            typeof(T).GetProperty(member)?.GetValue(options) is IConvertible value
                ? string.Create(CultureInfo.InvariantCulture, $"{section}:{member} is '{value}'")
                : $"{section}:{member} is wrong"; // lists may hold API keys, which do not belong in a log
    }

    /// <summary>The log until the service has its own.</summary>
    public static ILoggerFactory StartupLogging(this WebApplicationBuilder builder) =>
        LoggerFactory.Create(log => log.AddConfiguration(builder.Configuration.GetSection("Logging")).AddConsole());

    private static void Apply(ServiceOptions service, WebApplicationBuilder builder)
    {
        var hasKeys = builder.Read<SecurityOptions>(SecurityOptions.Section).ApiKeys.Count > 0;
        service.Address = DefaultAddress.Choose(service.Address, service.Port, hasKeys, DefaultAddress.IsInContainer());
        if (builder.Configuration["urls"] is null)
        {
            ListenAddress.ThrowIfTaken(service.Address, service.Port);
            builder.WebHost.UseUrls($"http://{service.Address}:{service.Port.ToString(CultureInfo.InvariantCulture)}");
        }

        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = service.MaxRequestBytes;
            kestrel.Limits.MaxRequestLineSize = LongestRequestLine;
            kestrel.Limits.MinResponseDataRate = new MinDataRate(LeastBytesPerSecond, TimeSpan.FromSeconds(service.SlowReaderSeconds));
            kestrel.LimitConnections(ConnectionLimit.Of(service.MaxConnections));
        });
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(service.ShutdownSeconds) + EndingTime);

        // The server's own line for each request holds the query, which in GET /speak is the text of a user.
        builder.Logging.AddFilter("Microsoft.AspNetCore.Hosting.Diagnostics", LogLevel.Warning);
    }
}
