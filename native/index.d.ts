/** The types are those of src/datapath/addon.ts, which is the only user. */
declare const addon: object;
export = addon;
