using Chatterbox.Service.Hosting;
using Chatterbox.Service.Voices;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Recordings;

/// <summary>On an endpoint whose JSON body may have a recording.</summary>
internal sealed class TakesRecordings;

/// <summary>Lets bodies with a recording be larger than others, where uploads are on: each takes one of the places for
/// recordings.</summary>
internal static class RecordingBodies
{
    /// <summary>Adds it.</summary>
    public static void UseRecordingBodies(this WebApplication app)
    {
        var voices = app.Services.GetRequiredService<IOptions<VoiceOptions>>().Value;
        if (!voices.UploadsEnabled)
        {
            return;
        }

        var gate = app.Services.GetRequiredService<RecordingGate>();
        var usual = app.Services.GetRequiredService<IOptions<ServiceOptions>>().Value.MaxRequestBytes;
        app.Use(
            (http, next) =>
            {
                if (
                    http.Request.ContentLength > usual
                    && http.GetEndpoint()?.Metadata.GetMetadata<TakesRecordings>() is not null
                    && http.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size
                )
                {
                    gate.Enter(http);
                    size.MaxRequestBodySize = usual + (voices.MaxUploadBytes * 4 / 3) + 4; // in base64
                }

                return next(http);
            }
        );
    }
}
