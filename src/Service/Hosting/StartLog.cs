using Chatterbox.Audio;
using Chatterbox.Service.Models;
using Chatterbox.Service.Voices;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Hosting;

/// <summary>The one line of the log that describes the service once it listens; and a warning where other machines may use it without a
/// key.</summary>
internal static class StartLog
{
    /// <summary>Writes it when the service has started.</summary>
    public static void LogStart(this WebApplication app) =>
        app.Lifetime.ApplicationStarted.Register(() =>
        {
            var (fleet, voices) = (app.Services.GetRequiredService<ModelFleet>(), app.Services.GetRequiredService<VoiceFolder>());
            var codecs = app.Services.GetRequiredService<AudioCodecs>();
            var hasKeys = app.Services.GetRequiredService<IOptions<SecurityOptions>>().Value.ApiKeys.Count > 0;
            var addresses = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses;
            app.Logger.LogInformation(
                "Chatterbox.Net {Version}: model {Models} on {Device}; formats {Formats}; {VoiceCount} voices in {VoicesFolder}; "
                    + "page at /, API at /scalar; API keys are {Keys}. Now listening on: {Addresses}",
                Home.Version,
                string.Join(", ", fleet.All.Select(model => model.Name)),
                fleet.Default.Served.Device,
                string.Join(", ", codecs.Support().Where(format => format.Encoder is not null).Select(format => format.Name)),
                voices.All().Count,
                voices.Root,
                hasKeys ? "required" : "off",
                string.Join(", ", addresses)
            );
            if (!hasKeys && !DefaultAddress.IsLocal(addresses))
            {
                app.Logger.LogWarning(
                    "Other machines can use the service without a key. Set Security:ApiKeys, or Service:Address=localhost"
                );
            }
        });
}
