using Chatterbox.Audio;
using Chatterbox.Service.Recordings;
using Chatterbox.Voices;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Chatterbox.Service.Voices;

/// <summary>Puts the voices into the service.</summary>
internal static class VoiceSetup
{
    /// <summary>Registers the folder, the cache, and the watch that joins them.</summary>
    public static void AddVoices(this WebApplicationBuilder builder)
    {
        builder.Services.TryAddSingleton(services => new VoiceFormats(
            (path, longest) => services.GetRequiredService<AudioCodecs>().Load(path, longest),
            path => VoiceFile.Load(path).Voice,
            VoiceFile.Save
        ));
        builder.Services.AddSingleton<RecordingGate>();
        builder.Services.AddSingleton<VoiceFolder>();
        builder.Services.AddSingleton<VoiceCache>();
        builder.Services.AddSingleton<SentVoices>();
        builder.Services.AddHostedService<VoiceWatch>();
    }
}
