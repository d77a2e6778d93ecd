using Chatterbox.Service.ChatterboxServer;
using Chatterbox.Service.Deepgram;
using Chatterbox.Service.ElevenLabs;
using Chatterbox.Service.Wyoming;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Hosting;

/// <summary>The dialects of other services, each where its setting is on.</summary>
internal static class Dialects
{
    /// <summary>Registers what they need.</summary>
    public static void AddDialects(this WebApplicationBuilder builder)
    {
        builder.AddElevenLabs();
        builder.AddWyoming();
    }

    /// <summary>Adds the routes of those that are on.</summary>
    public static void MapDialects(this WebApplication app)
    {
        var dialects = app.Services.GetRequiredService<IOptions<DialectOptions>>().Value;
        foreach (
            var (isOn, map) in ((bool, Action<WebApplication>)[])
                [
                    (dialects.ElevenLabs, ElevenEndpoints.MapElevenLabs),
                    (dialects.Deepgram, DeepgramEndpoints.MapDeepgram),
                    (dialects.ChatterboxServer, ServerEndpoints.MapChatterboxServer),
                ]
        )
        {
            if (isOn)
            {
                map(app);
            }
        }
    }
}
