using Chatterbox.Audio;
using Chatterbox.Voices;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Chatterbox.Service.Voices;

/// <summary>Puts the voices into the service.</summary>
internal static class VoiceSetup
{
    /// <summary>Registers the folder, the cache, and the watch that joins them.</summary>
    public static void AddVoices(this WebApplicationBuilder builder)
    {
        builder.Services.TryAddSingleton(new VoiceFormats(
            (path, longest) => AudioFile.Load(path, longest),
            path => VoiceFile.Load(path).Voice,
            VoiceFile.Save));
        builder.Services.AddSingleton<VoiceFolder>();
        builder.Services.AddSingleton<VoiceCache>();
        builder.Services.AddHostedService<VoiceWatch>();
    }
}
