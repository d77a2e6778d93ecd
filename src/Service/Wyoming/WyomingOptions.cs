using System.ComponentModel.DataAnnotations;

namespace Chatterbox.Service.Wyoming;

/// <summary>Wyoming, the protocol of Home Assistant's voice assistants, on a port of its own. It has no keys.</summary>
internal sealed class WyomingOptions
{
    /// <summary>Name of the section in the settings.</summary>
    public const string Section = "Wyoming";

    /// <summary>Port to listen on, by custom 10200; 0 leaves it off.</summary>
    [Range(0, 65535)]
    public int Port { get; set; }

    /// <summary>Address to listen on: <c>localhost</c> for this machine only, <c>*</c> for all of its addresses. Every client that reaches
    /// it can use the service.</summary>
    [Required]
    public string Address { get; set; } = "localhost";

    /// <summary>Whether Home Assistant finds it by itself, by mDNS; of use only where it listens on more than this machine.</summary>
    public bool Announce { get; set; }
}
