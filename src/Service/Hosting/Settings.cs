using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Reflection;
using Chatterbox.Engine;
using Chatterbox.Service.OpenAi;
using Chatterbox.Service.Voices;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Hosting;

/// <summary>A setting is wrong: the message names its key.</summary>
internal sealed class SettingException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>Reads the settings, checks each when the service starts, and applies those of the server.</summary>
internal static class Settings
{
    /// <summary>Short names of settings on the command line.</summary>
    public static readonly Dictionary<string, string> ShortSwitches = new()
    {
        ["--port"] = "Service:Port",
        ["--voices"] = "Service:VoicesFolder",
        ["--audio"] = "Service:AudioFolder",
        ["--model"] = "Model",
        ["--device"] = "Device",
    };

    /// <summary>Registers every group of settings; a bad one stops the start.</summary>
    public static void AddSettings(this WebApplicationBuilder builder)
    {
        builder.Bind<ServiceOptions>(ServiceOptions.Section);
        builder.Bind<EngineOptions>("Engine");
        builder.Bind<VoiceOptions>(VoiceOptions.Section);
        builder.Bind<SecurityOptions>(SecurityOptions.Section);
        builder.Bind<OpenAiOptions>(OpenAiOptions.Section);
        builder.Services.AddSingleton<IValidateOptions<ServiceOptions>, FolderValidator>();

        var service = builder.Read<ServiceOptions>(ServiceOptions.Section);
        if (builder.Configuration["urls"] is null)
        {
            builder.WebHost.UseUrls($"http://{service.Address}:{service.Port.ToString(CultureInfo.InvariantCulture)}");
        }

        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = service.MaxRequestBytes;
        });
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(service.ShutdownSeconds));

        // The server's own line for each request holds the query, which in GET /speak is the text of a user.
        builder.Logging.AddFilter("Microsoft.AspNetCore.Hosting.Diagnostics", LogLevel.Warning);
    }

    /// <summary>Reads one group as it stands now.</summary>
    public static T Read<T>(this WebApplicationBuilder builder, string section)
        where T : class, new()
    {
        var options = new T();
        BindStrictly(builder.Configuration.GetSection(section), options);
        return options;
    }

    private static void Bind<T>(this WebApplicationBuilder builder, string section)
        where T : class
    {
        var configuration = builder.Configuration.GetSection(section);
        builder.Services.AddOptions<T>().Configure(options => BindStrictly(configuration, options)).ValidateOnStart();
        builder.Services.AddSingleton<IValidateOptions<T>>(new RangeValidator<T>(section));
    }

    private static void BindStrictly(IConfigurationSection section, object options)
    {
        try
        {
            section.Bind(options, binder => binder.ErrorOnUnknownConfiguration = true);
        }
        catch (InvalidOperationException e)
        {
            throw new SettingException($"The settings in '{section.Path}' cannot be used: {e.Message}", e);
        }
    }

    /// <summary>Checks the ranges that the properties carry, and names the key that is out of its own.</summary>
    private sealed class RangeValidator<T>(string section) : IValidateOptions<T>
        where T : class
    {
        public ValidateOptionsResult Validate(string? name, T options)
        {
            var wrong = new List<ValidationResult>();
            if (Validator.TryValidateObject(options, new ValidationContext(options), wrong, validateAllProperties: true))
            {
                return ValidateOptionsResult.Success;
            }

            return ValidateOptionsResult.Fail(wrong.Select(w => string.Join(", ", w.MemberNames.Select(m => Describe(options, m))) + $": {w.ErrorMessage}"));
        }

        private string Describe(T options, string member) =>
            $"{section}:{member} is '{typeof(T).GetProperty(member, BindingFlags.Public | BindingFlags.Instance)?.GetValue(options)}'";
    }

    /// <summary>Makes the folders, or says which setting names one that cannot be had.</summary>
    private sealed class FolderValidator : IValidateOptions<ServiceOptions>
    {
        public ValidateOptionsResult Validate(string? name, ServiceOptions options)
        {
            string?[] wrong = [Try(nameof(options.VoicesFolder), options.VoicesFolder, write: false), Try(nameof(options.AudioFolder), options.AudioFolder, write: true)];
            return wrong.OfType<string>().ToList() is { Count: > 0 } errors ? ValidateOptionsResult.Fail(errors) : ValidateOptionsResult.Success;
        }

        private static string? Try(string key, string folder, bool write)
        {
            try
            {
                Directory.CreateDirectory(folder);
                if (write)
                {
                    var probe = Path.Combine(folder, $".{Path.GetRandomFileName()}");
                    File.WriteAllBytes(probe, []);
                    File.Delete(probe);
                }

                return null;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
            {
                var needed = write ? "created and written to" : "created";
                return $"Service:{key} is '{folder}', which cannot be {needed}: {e.Message} Set Service:{key} (environment: Service__{key}) to a folder that can.";
            }
        }
    }
}
