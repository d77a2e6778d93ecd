using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Chatterbox.Service.Voices;

/// <summary>Puts the voices into the service.</summary>
internal static class VoiceSetup
{
    /// <summary>Registers the folder, the cache, and the watch that joins them.</summary>
    public static void AddVoices(this WebApplicationBuilder builder)
    {
        builder.Services.TryAddSingleton(new VoiceFormats(
            _ => throw new VoiceException("Recordings cannot be read yet."),
            _ => throw new VoiceException("Voice files cannot be read yet."),
            (_, _) => throw new IOException("Voice files cannot be written yet.")));
        builder.Services.AddSingleton<VoiceFolder>();
        builder.Services.AddSingleton<VoiceCache>();
        builder.Services.AddHostedService<VoiceWatch>();
    }
}
