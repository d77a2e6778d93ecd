using System.ComponentModel.DataAnnotations;
using System.Globalization;
using Chatterbox.Engine;
using Chatterbox.Service.Models;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Streaming;
using Chatterbox.Service.Voices;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Hosting;

/// <summary>A setting is wrong: the message names its key.</summary>
internal sealed class SettingException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>Reads the settings, checks each before anything is done, and applies those of the server.</summary>
internal static class Settings
{
    /// <summary>Bytes of a request's first line: GET /speak with 1000 characters of four bytes each, escaped, and room to spare.</summary>
    private const int LongestRequestLine = 32 * 1024;

    /// <summary>Short names of settings on the command line.</summary>
    public static readonly Dictionary<string, string> ShortSwitches = new()
    {
        ["--port"] = "Service:Port",
        ["--voices"] = "Service:VoicesFolder",
        ["--audio"] = "Service:AudioFolder",
        ["--model"] = "Model",
        ["--device"] = "Device",
    };

    /// <summary>Registers every group of settings.</summary>
    /// <exception cref="SettingException">One is wrong.</exception>
    public static void AddSettings(this WebApplicationBuilder builder)
    {
        builder.Add<ModelsOptions>(ModelsOptions.Section);
        builder.Add<EngineOptions>("Engine");
        builder.Add<StreamingOptions>(StreamingOptions.Section);
        builder.Add<VoiceOptions>(VoiceOptions.Section);
        builder.Add<OpenAiOptions>(OpenAiOptions.Section);
        builder.Add<SecurityOptions>(SecurityOptions.Section);
        var service = builder.Add<ServiceOptions>(ServiceOptions.Section);
        var defaults = new ServiceOptions();
        using var logging = builder.StartupLogging();
        var logger = logging.CreateLogger(typeof(Settings));
        service.VoicesFolder = Folder(nameof(service.VoicesFolder), service.VoicesFolder, defaults.VoicesFolder, isWritten: false, logger);
        service.AudioFolder = Folder(nameof(service.AudioFolder), service.AudioFolder, defaults.AudioFolder, isWritten: true, logger);
        Apply(service, builder);
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

    private static T Add<T>(this WebApplicationBuilder builder, string section)
        where T : class, new()
    {
        var options = builder.Read<T>(section);
        var wrong = new List<ValidationResult>();
        if (!Validator.TryValidateObject(options, new ValidationContext(options), wrong, validateAllProperties: true))
        {
            throw new SettingException(string.Join(' ', wrong.Select(w => $"{string.Join(", ", w.MemberNames.Select(Describe))}. {w.ErrorMessage}")));
        }

        builder.Services.AddSingleton(Options.Create(options));
        return options;

        string Describe(string member) => typeof(T).GetProperty(member)?.GetValue(options) is IConvertible value
            ? string.Create(CultureInfo.InvariantCulture, $"{section}:{member} is '{value}'")
            : $"{section}:{member} is wrong"; // lists may hold keys, which nobody should read in a log
    }

    /// <summary>The log of what happens before the service has one.</summary>
    public static ILoggerFactory StartupLogging(this WebApplicationBuilder builder) =>
        LoggerFactory.Create(log => log.AddConfiguration(builder.Configuration.GetSection("Logging")).AddConsole());

    /// <summary>A folder that can be used: the one that is set; or, where nobody set one and the default is not this user's to
    /// make, one in the user's own data, loudly.</summary>
    private static string Folder(string key, string folder, string byDefault, bool isWritten, ILogger logger)
    {
        try
        {
            CheckFolder(key, folder, isWritten);
            return folder;
        }
        catch (SettingException e) when (folder == byDefault)
        {
            var data = Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.Create);
            var own = Path.Combine(data, "chatterbox-net", Path.GetFileName(byDefault));
            CheckFolder(key, own, isWritten);
            logger.LogWarning("{Folder} is used instead. {Reason}", own, e.Message);
            return own;
        }
    }

    private static void CheckFolder(string key, string folder, bool isWritten)
    {
        try
        {
            Directory.CreateDirectory(folder);
            if (isWritten)
            {
                var probe = Path.Combine(folder, $".{Path.GetRandomFileName()}");
                File.WriteAllBytes(probe, []);
                File.Delete(probe);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            var needed = isWritten ? "created and written to" : "created";
            throw new SettingException(
                $"Service:{key} is '{folder}', which cannot be {needed}: {e.Message} Set Service:{key} (in the environment: Service__{key}) to a folder that can.", e);
        }
    }

    private static void Apply(ServiceOptions service, WebApplicationBuilder builder)
    {
        if (builder.Configuration["urls"] is null)
        {
            builder.WebHost.UseUrls($"http://{service.Address}:{service.Port.ToString(CultureInfo.InvariantCulture)}");
        }

        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = service.MaxRequestBytes;
            kestrel.Limits.MaxRequestLineSize = LongestRequestLine;
        });
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(service.ShutdownSeconds));

        // The server's own line for each request holds the query, which in GET /speak is the text of a user.
        builder.Logging.AddFilter("Microsoft.AspNetCore.Hosting.Diagnostics", LogLevel.Warning);
    }
}
